//! The local signer against the suite for all backends, and where it must refuse.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should fail")]

use std::{
    error::Error,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use sw_keys::SecretKey;
use sw_signers::{LocalSigner, OpenKey, SignerError, ValidatorSigner, contract, contract::Breach, verified};
use sw_spec::{B256, DepositMessage, Network, NetworkSpec, PublicKeyBytes, SignatureBytes};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32]).unwrap()
}

fn name(seed: u8) -> PublicKeyBytes {
    key(seed).public_key().to_bytes()
}

fn hoodi() -> NetworkSpec {
    Network::Hoodi.spec()
}

/// Keys made of one byte; a key can be filed under the name of another, or be locked.
#[derive(Default)]
struct Drawer {
    keys: Vec<(PublicKeyBytes, u8)>,
    locked: bool,
    opened: AtomicUsize,
}

impl Drawer {
    fn of(seeds: &[u8]) -> Self {
        Self {
            keys: seeds.iter().map(|seed| (name(*seed), *seed)).collect(),
            ..Self::default()
        }
    }
}

impl OpenKey for Drawer {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.keys.iter().any(|(held, _)| held == public_key)
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn Error + Send + Sync>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        if self.locked {
            return Err("the drawer is locked".into());
        }
        let (_, seed) = self
            .keys
            .iter()
            .find(|(held, _)| held == public_key)
            .ok_or("no such key")?;
        Ok(key(*seed))
    }
}

#[tokio::test]
async fn the_local_signer_keeps_the_contract() {
    let signer = LocalSigner::new(Drawer::of(&[1, 2, 3]));
    contract::check(&signer, &[name(1), name(2), name(3)], &name(9), &hoodi())
        .await
        .unwrap();
    let empty = LocalSigner::new(Drawer::default());
    assert!(empty.keys().is_empty());
    contract::check(&empty, &[], &name(9), &hoodi()).await.unwrap();
}

#[tokio::test]
async fn a_key_is_opened_when_first_needed_and_then_kept() {
    let signer = LocalSigner::new(Drawer::of(&[1, 2]));
    let opened = || signer.keys().opened.load(Ordering::SeqCst);
    assert_eq!(opened(), 0);
    for _ in 0..3 {
        signer.sign_exit(&name(1), 5, &hoodi()).await.unwrap();
    }
    assert_eq!(opened(), 1);
    let (one, other, again) = (name(2), name(2), name(1));
    let (network, elsewhere) = (hoodi(), Network::Mainnet.spec());
    let (first, second, third) = tokio::join!(
        signer.sign_exit(&one, 5, &network),
        signer.sign_exit(&other, 5, &elsewhere),
        signer.sign_exit(&again, 6, &network)
    );
    assert_ne!(first.unwrap(), second.unwrap());
    third.unwrap();
    assert_eq!(opened(), 2);
}

#[tokio::test]
async fn a_key_under_another_name_signs_nothing() {
    let signer = LocalSigner::new(Drawer {
        keys: vec![(name(1), 2)],
        ..Drawer::default()
    });
    for _ in 0..2 {
        let refused = signer.sign_exit(&name(1), 5, &hoodi()).await.unwrap_err();
        assert!(
            matches!(&refused, SignerError::OtherKey { expected, actual } if (*expected, *actual) == (name(1), name(2)))
        );
        assert!(!refused.is_retryable());
    }
}

#[tokio::test]
async fn a_key_that_does_not_open_says_why() {
    let drawer = Drawer {
        locked: true,
        ..Drawer::of(&[1])
    };
    let refused = LocalSigner::new(drawer)
        .sign_exit(&name(1), 5, &hoodi())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("cannot open the key of validator {}", name(1))
    );
    assert_eq!(refused.source().unwrap().to_string(), "the drawer is locked");
}

#[test]
fn only_a_signature_that_verifies_is_passed_on() {
    let (root, own) = (B256::repeat_byte(7), name(1));
    let signature = key(1).sign(&root).to_bytes();
    assert_eq!(verified(signature, &root, &own).unwrap(), signature);
    let mut infinity = SignatureBytes([0; 96]);
    infinity.0[0] = 0xc0;
    let wrong = [
        SignatureBytes([0; 96]),
        SignatureBytes([0xff; 96]),
        infinity,
        key(2).sign(&root).to_bytes(),
    ];
    for signature in wrong {
        assert!(matches!(verified(signature, &root, &own), Err(SignerError::WrongSignature(key)) if key == own));
    }
    assert!(verified(signature, &B256::ZERO, &own).is_err());
    assert!(verified(signature, &root, &PublicKeyBytes([0; 48])).is_err());
    let mut caught = 0;
    for bit in 0..96 * 8 {
        let mut mutant = signature;
        mutant.0[bit / 8] ^= 1 << (bit % 8);
        caught += usize::from(verified(mutant, &root, &own).is_err());
    }
    assert_eq!(caught, 768);
}

/// A backend that breaks one promise.
#[derive(Clone, Copy, Debug)]
enum Rogue {
    Miscounts,
    Denies,
    ClaimsAll,
    SignsRubbish,
    SignsForAnyone,
    SignsAnyDeposit,
}

#[async_trait]
impl ValidatorSigner for Rogue {
    fn holds(&self, public_key: &PublicKeyBytes) -> bool {
        match self {
            Self::Denies => false,
            Self::ClaimsAll => true,
            _ => *public_key == name(1),
        }
    }

    fn key_count(&self) -> usize {
        if matches!(self, Self::Miscounts) { 7 } else { 1 }
    }

    async fn sign_deposit(
        &self,
        public_key: &PublicKeyBytes,
        message: &DepositMessage,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError> {
        let other = message.public_key != *public_key;
        if other && !matches!(self, Self::SignsAnyDeposit) {
            return Err(SignerError::OtherDeposit {
                signer: *public_key,
                depositor: message.public_key,
            });
        }
        self.sign(public_key, message.signing_root(network.genesis_fork_version))
    }

    async fn sign_exit(
        &self,
        public_key: &PublicKeyBytes,
        validator_index: u64,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError> {
        self.sign(public_key, network.exit_signing_root(validator_index))
    }
}

impl Rogue {
    fn sign(self, public_key: &PublicKeyBytes, root: B256) -> Result<SignatureBytes, SignerError> {
        match self {
            Self::SignsRubbish => Ok(key(2).sign(&root).to_bytes()),
            Self::SignsForAnyone => Ok(key(1).sign(&root).to_bytes()),
            _ if *public_key == name(1) => Ok(key(1).sign(&root).to_bytes()),
            _ => Err(SignerError::UnknownKey(*public_key)),
        }
    }
}

#[tokio::test]
async fn the_contract_tells_every_rogue() {
    let breach = async |rogue: Rogue| {
        contract::check(&rogue, &[name(1)], &name(9), &hoodi())
            .await
            .unwrap_err()
    };
    assert!(matches!(
        breach(Rogue::Miscounts).await,
        Breach::KeyCount { expected: 1, actual: 7 }
    ));
    assert!(matches!(breach(Rogue::Denies).await, Breach::Denies(_)));
    assert!(matches!(breach(Rogue::ClaimsAll).await, Breach::Claims(_)));
    assert!(matches!(
        breach(Rogue::SignsRubbish).await,
        Breach::WrongSignature { .. }
    ));
    assert!(matches!(
        breach(Rogue::SignsForAnyone).await,
        Breach::SignsForStranger(_)
    ));
    assert!(matches!(
        breach(Rogue::SignsAnyDeposit).await,
        Breach::SignsOtherDeposit(_)
    ));
}

#[tokio::test]
async fn what_was_prepared_signs_without_opening_and_what_was_forgotten_is_opened_again() {
    let signer = LocalSigner::new(Drawer::of(&[1, 2, 3]));
    let opened = || signer.keys().opened.load(Ordering::SeqCst);
    assert!(
        signer.prepare(&[name(1), name(2), name(9)]).await.is_empty(),
        "a stranger is no concern"
    );
    assert!(signer.prepare(&[name(2), name(1)]).await.is_empty());
    assert_eq!(opened(), 2);
    signer.sign_exit(&name(1), 5, &hoodi()).await.unwrap();
    assert_eq!(opened(), 2);
    signer.forget(&[name(1), name(9)]);
    signer.sign_exit(&name(2), 5, &hoodi()).await.unwrap();
    assert_eq!(opened(), 2);
    signer.sign_exit(&name(1), 5, &hoodi()).await.unwrap();
    assert_eq!(opened(), 3);
}

#[tokio::test]
async fn what_cannot_be_prepared_is_named_and_the_rest_is_ready() {
    let mut drawer = Drawer::of(&[1, 3]);
    drawer.keys.insert(1, (name(2), 4));
    let signer = LocalSigner::new(drawer);
    let refused = signer.prepare(&[name(1), name(2), name(3)]).await;
    assert!(
        matches!(refused.as_slice(), [(key, SignerError::OtherKey { expected, actual })]
            if (*key, *expected, *actual) == (name(2), name(2), name(4)))
    );
    let before = signer.keys().opened.load(Ordering::SeqCst);
    for seed in [1, 3] {
        signer.sign_exit(&name(seed), 5, &hoodi()).await.unwrap();
    }
    assert_eq!(signer.keys().opened.load(Ordering::SeqCst), before);
}

/// Whoever stops waiting leaves the store to its work, and the next caller finds it done.
#[tokio::test]
async fn a_key_that_somebody_no_longer_waits_for_is_opened_once() {
    let signer = LocalSigner::new(Drawer::of(&[1]));
    let keys = [name(1)];
    let mut preparing = signer.prepare(&keys);
    assert!(
        std::future::poll_fn(|context| std::task::Poll::Ready(preparing.as_mut().poll(context)))
            .await
            .is_pending()
    );
    drop(preparing);
    signer.sign_exit(&name(1), 5, &hoodi()).await.unwrap();
    assert_eq!(signer.keys().opened.load(Ordering::SeqCst), 1);
}
