//! For tests only: a disk that loses power, a scripted network, believable events.

pub mod disk;
pub mod net;
pub mod proxy;
pub mod tls;
