//! The original operator's figures.
#![expect(clippy::expect_used, reason = "a test that meets a surprise should fail")]

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use sw_keys::{PublicKey, SecretKey, Signature};
use sw_shamir_exit::{
    EncryptedShare, ExitShare, KeyShare, OraclePublicKey, ShareIndex, Threshold, check_shares, recover_public_key,
    recover_signature, split, split_signature,
};
use sw_spec::{B256, Domain, Epoch, ForkVersion, Network, NetworkSpec, PublicKeyBytes, SignatureBytes};
use sw_testkit::{array, bytes, fixture, list, text};

/// Gives the coefficients of the vectors where a random number is drawn.
struct Scripted(Vec<u8>);

impl Scripted {
    /// A coefficient is drawn as 64 little-endian bytes and reduced.
    fn coefficients(coefficients: &[Value]) -> Self {
        let drawn = coefficients.iter().flat_map(|coefficient| {
            let mut wide = bytes(coefficient);
            wide.reverse();
            wide.resize(64, 0);
            wide
        });
        Self(drawn.collect())
    }
}

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.copy_from_slice(&self.0.drain(..to.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}

fn index(number: usize) -> ShareIndex {
    ShareIndex::new(number).expect("between 1 and 255")
}

#[test]
fn the_originals_shares_come_from_its_coefficients_by_both_roads() {
    let vectors = &fixture("original-v1.json")["shamir"];
    let root = B256::from(array::<32>(&vectors["message"]));
    let number = |name: &str| usize::try_from(vectors[name].as_u64().unwrap()).unwrap();
    let threshold = Threshold::new(number("threshold"), number("total")).unwrap();
    let key = SecretKey::from_bytes(&array(&vectors["secret"])).unwrap();
    let coefficients = list(&vectors["coefficients"]);
    assert_eq!(bytes(&coefficients[0]), bytes(&vectors["secret"]));
    let whole = key.sign(&root);

    let expected = (0..threshold.total()).map(|position| ExitShare {
        index: ShareIndex::of_position(position).unwrap(),
        public_key: PublicKeyBytes(array(&vectors["public_key_shards"][position])),
        signature: SignatureBytes(array(&vectors["signature_shards"][position])),
    });
    let expected = expected.collect::<Vec<_>>();

    let of_key = split(&key, threshold, &mut Scripted::coefficients(&coefficients[1..])).unwrap();
    let of_key = of_key
        .iter()
        .map(|share: &KeyShare| share.sign(&root))
        .collect::<Vec<_>>();
    assert_eq!(of_key, expected);

    let mut rng = Scripted::coefficients(&coefficients[1..]);
    let of_signature = split_signature(&whole, &key.public_key(), &root, threshold, &mut rng).unwrap();
    assert_eq!(of_signature, expected);

    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    check_shares(&expected, threshold, &key.public_key().to_bytes(), &root, &mut rng).unwrap();

    let mut checked = 0;
    for (share, expected) in list(&vectors["shares"]).iter().zip(&expected) {
        let share = SecretKey::from_bytes(&array(share)).unwrap();
        assert_eq!(share.public_key().to_bytes(), expected.public_key);
        assert_eq!(share.sign(&root).to_bytes(), expected.signature);
        checked += 3;
    }
    assert_eq!(checked, 15);
}

#[test]
fn the_originals_shares_recover_what_it_recovered() {
    let vectors = &fixture("original-v1.json")["shamir"];
    let signature = |position: usize| SignatureBytes(array(&vectors["signature_shards"][position]));
    let public_key = |position: usize| PublicKeyBytes(array(&vectors["public_key_shards"][position]));
    let whole = SignatureBytes(array(&vectors["recovered_from_0_2_4"]));
    assert_eq!(
        recover_signature(&[0, 2, 4].map(|i| (index(i + 1), signature(i)))),
        Ok(whole)
    );
    assert_eq!(vectors["equals_full"], Value::Bool(true));

    let key = SecretKey::from_bytes(&array(&vectors["secret"])).unwrap();
    assert_eq!(
        key.sign(&B256::from(array::<32>(&vectors["message"]))).to_bytes(),
        whole
    );
    let aggregated = PublicKeyBytes(array(&vectors["agg"]));
    assert_eq!(
        recover_public_key(&[1, 2, 3].map(|i| (index(i + 1), public_key(i)))),
        Ok(aggregated)
    );
    assert_eq!(key.public_key().to_bytes(), aggregated);
    assert_eq!(vectors["agg_ok"], Value::Bool(true));

    let mut subsets = 0;
    for chosen in (0_u32..32).filter(|bits| bits.count_ones() >= 3) {
        let places = (0..5)
            .filter(|place| chosen & (1 << place) != 0)
            .collect::<Vec<usize>>();
        let signatures = places.iter().map(|i| (index(i + 1), signature(*i))).collect::<Vec<_>>();
        let public_keys = places
            .iter()
            .map(|i| (index(i + 1), public_key(*i)))
            .collect::<Vec<_>>();
        assert_eq!(recover_signature(&signatures), Ok(whole));
        assert_eq!(recover_public_key(&public_keys), Ok(aggregated));
        subsets += 1;
    }
    assert_eq!(subsets, 16);
    assert!(SecretKey::from_bytes(&array(&vectors["curve_order"])).is_err());
}

#[test]
fn shares_are_sealed_as_eciespy_does() {
    let vectors = &fixture("original-v1.json")["ecies"];
    let receiver: OraclePublicKey = text(&vectors["receiver_pub64"]).parse().unwrap();
    assert_eq!(receiver.to_string(), text(&vectors["receiver_pub64"]));
    assert_eq!(receiver.address().to_string(), text(&vectors["receiver_address"]));
    let secret = array::<32>(&vectors["receiver_sk"]);
    let own = ecies::PublicKey::from_secret_key(&ecies::SecretKey::parse_slice(&secret).unwrap());
    assert_eq!(OraclePublicKey::from_bytes(&own.serialize()), Ok(receiver));
    assert_eq!(OraclePublicKey::from_bytes(&own.serialize_compressed()), Ok(receiver));

    let plaintext = SignatureBytes(array(&vectors["plaintext"]));
    let given = EncryptedShare::from(array(&vectors["ciphertext"]));
    assert_eq!(given.open(&secret), Ok(plaintext));
    assert_eq!(given.to_string(), text(&vectors["ciphertext"]));
    assert_eq!(vectors["length"], EncryptedShare::LENGTH);

    let ephemeral = ecies::SecretKey::parse_slice(&array::<32>(&vectors["ephemeral_sk"])).unwrap();
    assert_eq!(
        given.as_bytes()[..65],
        ecies::PublicKey::from_secret_key(&ephemeral).serialize()
    );
    assert_eq!(given.as_bytes()[65..81], bytes(&vectors["nonce"]));
    let mut shared = own;
    shared.tweak_mul_assign(&ephemeral).unwrap();
    assert_eq!(shared.serialize(), array::<65>(&vectors["shared_point"]));
    let opened = ecies::symmetric::sym_decrypt(&array::<32>(&vectors["sym_key"]), &given.as_bytes()[65..]).unwrap();
    assert_eq!(opened, plaintext.0);

    let sealed = EncryptedShare::seal(&plaintext, &receiver).unwrap();
    assert_eq!(sealed.open(&secret), Ok(plaintext));
    assert_ne!(sealed, EncryptedShare::seal(&plaintext, &receiver).unwrap());
    assert_eq!(vectors["roundtrip"], Value::Bool(true));
    assert_eq!(vectors.as_object().unwrap().len(), 11, "every figure above was checked");
}

#[test]
fn exits_are_signed_as_the_original_signs_them_on_every_network() {
    let vectors = fixture("original-v1.json");
    let key = SecretKey::from_bytes(&array(&vectors["keys"][0]["sk"])).unwrap();
    let network = |root: &str| NetworkSpec {
        genesis_validators_root: root.parse().unwrap(),
        ..Network::Mainnet.spec()
    };
    let goerli = network("0x043db0d9a83813551ee2f33450d23797757d430911a9320530ad8a0eabc43efb");
    let holesky = network("0x9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1");
    let networks = [
        ("mainnet", Network::Mainnet.spec()),
        ("goerli", goerli),
        ("holesky", holesky.clone()),
        ("holesky_fixed", holesky),
    ];

    let mut checked = 0;
    for (name, spec) in networks {
        let vector = &vectors["exit_domain"][name];
        let fork: ForkVersion = text(&vector["fork"]).parse().unwrap();
        let epoch = Epoch(vector["epoch"].as_u64().unwrap());
        if name == "mainnet" {
            assert_eq!((spec.capella_fork_version, spec.capella_epoch), (fork, epoch));
        }
        let spec = NetworkSpec {
            capella_fork_version: fork,
            capella_epoch: epoch,
            ..spec
        };
        let domain = Domain::voluntary_exit(fork, spec.genesis_validators_root);
        assert_eq!(domain.0.as_slice(), bytes(&vector["domain"]), "{name}");
        let root = spec.exit_signing_root(123);
        assert_eq!(root.as_slice(), bytes(&vector["signing_root_index_123"]), "{name}");
        let signature = SignatureBytes(array(&vector["signature_key0"]));
        assert_eq!(key.sign(&root).to_bytes(), signature, "{name}");

        // The shares of this very signature are accepted, and give it back.
        let threshold = Threshold::new(2, 3).unwrap();
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let public_key = PublicKey::try_from(&key.public_key().to_bytes()).unwrap();
        let whole = Signature::try_from(&signature).unwrap();
        let shares = split_signature(&whole, &public_key, &root, threshold, &mut rng).unwrap();
        check_shares(&shares, threshold, &public_key.to_bytes(), &root, &mut rng).unwrap();
        let two = shares[1..]
            .iter()
            .map(|share| (share.index, share.signature))
            .collect::<Vec<_>>();
        assert_eq!(recover_signature(&two), Ok(signature));
        checked += 1;
    }
    assert_eq!(checked, vectors["exit_domain"].as_object().unwrap().len());
    assert_eq!(checked, 4);
}

#[test]
fn the_originals_oracle_fixture_has_its_address() {
    let key = "0x6eca335d9645307db441656ef4e65b4bfc579b27452bebc19bd870aa1118e5c3d50123b57a7a0710592f579074b875a03a496a3a3bf8ec34498a2f7805a08668";
    let key: OraclePublicKey = key.to_uppercase().replacen("0X", "0x", 1).parse().unwrap();
    assert_eq!(key.address().to_string(), "0x673C638147fe91e4277646d86D5AE82f775EeA5C");
}
