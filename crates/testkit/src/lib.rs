//! For tests only: a disk that loses power, a scripted network, a validator of JSON Schemas.

pub mod disk;
pub mod net;
pub mod proxy;
pub mod schema;
pub mod tls;
