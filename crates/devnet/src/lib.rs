#![doc = include_str!("../README.md")]

mod acts;
pub mod anvil;
pub mod audit;
pub mod beacon;
pub mod bls;
pub mod chain;
mod config;
pub mod contracts;
mod controls;
pub mod deployment;
mod devnet;
mod door;
pub mod http;
pub mod ipfs;
pub mod network;
pub mod oracle;
pub mod person;
pub mod process;
pub mod proxy;
pub mod rewards;
pub mod rpc;
pub mod ssz;
pub mod toolchain;

pub use crate::{
    acts::{Harvested, Past, Registered},
    config::{DevnetConfig, DevnetError, Node, VaultKind},
    controls::Dropped,
    deployment::Deployment,
    devnet::Devnet,
};
