//! Several reads in one call, so that they all speak of the same state.

use std::marker::PhantomData;

use alloy::sol_types::{SolCall, abi::AbiDecoderConfig};
use alloy_primitives::{Address, Bytes, U256};

use crate::{Call, ExecutionError, abi::Multicall3, calls::multicall3_aggregate3};

/// Reads that are made together by `Multicall3.aggregate3`.
///
/// Each one is allowed to fail alone, so that the failure can be named: an `aggregate3` that fails as a whole does not
/// say because of which call.
#[derive(Default)]
pub(crate) struct Reads {
    calls: Vec<(Call, bool)>,
}

/// Which answer belongs to a read.
#[derive(Clone, Copy)]
pub(crate) struct Slot<C> {
    index: usize,
    contract: &'static str,
    address: Address,
    call: PhantomData<C>,
}

impl<C: SolCall> Slot<C> {
    /// The contract did not answer this as it must.
    pub(crate) fn mismatch(&self) -> ExecutionError {
        let Self { contract, address, .. } = *self;
        ExecutionError::ContractMismatch {
            contract,
            address,
            function: C::SIGNATURE,
        }
    }
}

impl Reads {
    pub(crate) fn push<C: SolCall>(&mut self, contract: &'static str, address: Address, call: C) -> Slot<C> {
        let index = self.calls.len();
        self.calls.push((Call::new(address, call.abi_encode().into()), true));
        Slot {
            index,
            contract,
            address,
            call: PhantomData,
        }
    }

    pub(crate) fn calldata(&self) -> Bytes {
        multicall3_aggregate3(&self.calls)
    }

    /// Reads the return value of `aggregate3` at `multicall`.
    pub(crate) fn answers(&self, multicall: Address, returned: &[u8]) -> Result<Answers, ExecutionError> {
        let mismatch = || ExecutionError::ContractMismatch {
            contract: "Multicall3",
            address: multicall,
            function: Multicall3::aggregate3Call::SIGNATURE,
        };
        let results = Multicall3::aggregate3Call::abi_decode_returns_with_config(returned, one_place_each())
            .map_err(|_| mismatch())?;
        if results.len() != self.calls.len() {
            return Err(mismatch());
        }
        Ok(Answers(results))
    }
}

/// Decodes lists of bytes only where each has its own place, as Solidity writes them. A list may otherwise name the same bytes
/// any number of times, and each of them is copied.
pub(crate) fn one_place_each() -> AbiDecoderConfig {
    AbiDecoderConfig::new().strict(true)
}

/// The answers to [`Reads`].
pub(crate) struct Answers(Vec<Multicall3::Result>);

impl Answers {
    /// What a function returned that the contract must have.
    pub(crate) fn get<C: SolCall>(&self, slot: Slot<C>) -> Result<C::Return, ExecutionError> {
        let mismatch = slot.mismatch();
        self.find(slot).ok_or(mismatch)
    }

    /// A number that a contract must have and that cannot be large.
    pub(crate) fn number<C: SolCall<Return = U256>>(&self, slot: Slot<C>) -> Result<u64, ExecutionError> {
        let mismatch = slot.mismatch();
        self.get(slot)?.try_into().map_err(|_| mismatch)
    }

    /// What a function returned that the contract may lack.
    pub(crate) fn find<C: SolCall>(&self, slot: Slot<C>) -> Option<C::Return> {
        let result = self.0.get(slot.index).filter(|result| result.success)?;
        C::abi_decode_returns_validate(&result.returnData).ok()
    }
}
