//! An IPFS gateway over blocks in memory, in the formats the public ones answer, with content that can be falsified.

mod car;
mod gateway;
mod unixfs;

pub(crate) use self::unixfs::raw_cid;
pub use self::{
    gateway::{ContentFault, Gateway, GatewayHandle},
    unixfs::{Layout, MAX_CHUNK},
};
