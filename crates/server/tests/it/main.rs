//! The binary as those who run it meet it: what it says, how it ends, what it leaves behind.

#![cfg(test)]

mod canary;
mod catcher;
mod custody;
mod demo;
mod keys;
mod links;
mod memory;
mod program;
mod proxies;
mod receiver;
mod refusals;
mod send;
mod status;
mod stop;
mod template;
mod tls;
