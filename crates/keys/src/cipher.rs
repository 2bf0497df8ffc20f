//! AES-128-CTR, which both keystore formats encrypt with.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use zeroize::Zeroizing;

/// The key derived from a password, in the two halves that both formats make of it.
pub(crate) struct StretchedKey(pub(crate) Zeroizing<[[u8; 16]; 2]>);

impl StretchedKey {
    /// The half that encrypts.
    fn cipher_key(&self) -> &[u8; 16] {
        let [cipher_key, _] = &*self.0;
        cipher_key
    }

    /// The half that authenticates the ciphertext.
    pub(crate) fn check_key(&self) -> &[u8; 16] {
        let [_, check_key] = &*self.0;
        check_key
    }

    /// Encrypts or decrypts 32 bytes.
    pub(crate) fn apply(&self, iv: &[u8; 16], data: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut output = Zeroizing::new(*data);
        Ctr128BE::<Aes128>::new(self.cipher_key().into(), iv.into()).apply_keystream(output.as_mut_slice());
        output
    }
}
