//! What a gateway or a file may take: bytes, blocks, depth and time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod gateway;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use gateway::{DEEP, LIMITS, Reply, TestGateway, WIDE, blocks_by_name, gateways, gateways_with, sample};
use sw_ipfs::{ContentError, FetchError, GatewayFault, GatewayOptions, Limits};

#[tokio::test]
async fn an_endless_a_declared_and_a_compressed_flood_end_at_the_limit() {
    let file = sample("hello, version 0");
    let limits = Limits {
        bytes: 100_000,
        depth: 1,
        blocks: 10,
    };
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    // Past the header, 64 MiB of zeros in 64 KiB; as a block, as a CAR and as blocks of a CAR that nobody asked for.
    bomb.write_all(&file.car[..57]).unwrap();
    bomb.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let junk = {
        let block = [7u8; 1_000];
        let digest = multihash::Multihash::wrap(0x12, &sha256(&block)).unwrap();
        let cid = sw_ipfs::Cid::new_v1(0x55, digest).to_bytes();
        let length = cid.len() + block.len();
        [
            vec![(length & 0x7f) as u8 | 0x80, (length >> 7) as u8],
            cid,
            block.to_vec(),
        ]
        .concat()
    };
    let (header, car) = (file.car[..57].to_vec(), file.car.clone());
    let floods = [
        TestGateway::always(|| Reply::Endless(vec![1; 1 << 16])).await,
        TestGateway::always(|| Reply::Body(vec![1; 8 << 20])).await,
        TestGateway::always(move || Reply::Gzipped(bomb.clone())).await,
        TestGateway::always(move || Reply::Endless([header.clone(), junk.clone()].concat())).await,
        TestGateway::always(move || Reply::Endless(car[57..].to_vec())).await,
    ];
    let started = Instant::now();
    let list: Vec<&TestGateway> = floods.iter().collect();
    let error = gateways(&list).fetch(&file.cid, limits).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}: a limit ends it, not the timeout",
        started.elapsed()
    );
}

#[tokio::test]
async fn many_right_blocks_that_are_not_needed_end_at_the_limit() {
    let file = sample("hello, version 0");
    let mut car = file.car[..57].to_vec();
    for number in 0..400u32 {
        let block = number.to_be_bytes().repeat(250);
        let digest = multihash::Multihash::wrap(0x12, &sha256(&block)).unwrap();
        let cid = sw_ipfs::Cid::new_v1(0x55, digest).to_bytes();
        let length = cid.len() + block.len();
        car.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        car.extend(cid);
        car.extend(block);
    }
    let gateway = TestGateway::start(move |_, format| match format {
        "car" => Reply::Stalled(car.clone()),
        _ => Reply::Status(404),
    })
    .await;
    let limits = Limits {
        bytes: 1_000,
        depth: 1,
        blocks: 400,
    };
    let error = gateways(&[&gateway]).fetch(&file.cid, limits).await.unwrap_err();
    assert!(
        error.to_string().contains("as a CAR: the answer is longer than"),
        "{error}"
    );
}

/// Each block that is kept costs several times its few bytes.
#[tokio::test]
async fn more_right_blocks_than_the_file_may_have_end_at_the_limit() {
    let file = sample("hello, version 0");
    let mut car = file.car[..57].to_vec();
    for number in 0..11u32 {
        let block = number.to_be_bytes();
        let cid = sw_ipfs::Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, &sha256(&block)).unwrap()).to_bytes();
        car.push((cid.len() + block.len()) as u8);
        car.extend(cid);
        car.extend(block);
    }
    let gateway = TestGateway::start(move |_, format| match format {
        "car" => Reply::Stalled(car.clone()),
        _ => Reply::Status(404),
    })
    .await;
    let limits = Limits { blocks: 10, ..LIMITS };
    let error = gateways(&[&gateway]).fetch(&file.cid, limits).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("as a CAR: the answer has more than 10 blocks"),
        "{error}"
    );
}

#[tokio::test]
async fn a_silent_or_slow_gateway_costs_its_time_and_no_more() {
    let file = sample(WIDE);
    let silent = TestGateway::always(|| Reply::Silence).await;
    let start = file.car[..100].to_vec();
    let stalled = TestGateway::always(move || Reply::Stalled(start.clone())).await;
    let options = GatewayOptions {
        timeout: Duration::from_millis(300),
        cache_dir: None,
    };
    let started = Instant::now();
    let error = gateways_with(&[&silent, &stalled], options.clone())
        .fetch(&file.cid, LIMITS)
        .await
        .unwrap_err();
    let FetchError::Unavailable { failures, .. } = error else {
        panic!("{error:?}")
    };
    assert!(failures.iter().all(|failure| {
        failure
            .faults
            .iter()
            .all(|(_, fault)| matches!(fault, GatewayFault::TimedOut))
    }));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let honest = TestGateway::honest(&file).await;
    let options = GatewayOptions {
        timeout: Duration::from_secs(2),
        ..options
    };
    let fetched = gateways_with(&[&silent, &honest], options)
        .fetch(&file.cid, LIMITS)
        .await
        .unwrap();
    assert_eq!(fetched.as_ref(), file.content);
}

#[tokio::test]
async fn a_gateway_that_is_silent_about_cars_has_time_left_for_blocks() {
    let file = sample(WIDE);
    let blocks = blocks_by_name(&file);
    let gateway = TestGateway::start(move |cid, format| match format {
        "raw" => Reply::Body(blocks[cid].clone()),
        _ => Reply::Silence,
    })
    .await;
    let options = GatewayOptions {
        timeout: Duration::from_secs(2),
        cache_dir: None,
    };
    assert_eq!(
        gateways_with(&[&gateway], options)
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap()
            .as_ref(),
        file.content
    );
}

#[tokio::test]
async fn content_beyond_a_limit_is_refused_for_good() {
    let file = sample(DEEP);
    let honest = TestGateway::honest(&file).await;
    let gateways = gateways(&[&honest, &honest]);
    let cases = [
        (
            Limits { bytes: 1_000, ..LIMITS },
            ContentError::TooLarge { limit: 1_000 },
        ),
        (Limits { depth: 2, ..LIMITS }, ContentError::TooDeep { limit: 2 }),
        (
            Limits { blocks: 31, ..LIMITS },
            ContentError::TooManyBlocks { limit: 31 },
        ),
    ];
    for (limits, expected) in cases {
        let error = gateways.fetch(&file.cid, limits).await.unwrap_err();
        assert!(!error.is_retryable());
        let FetchError::Content { source, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(source, expected);
    }
    assert_eq!(honest.requests().len(), 3, "no other gateway can help");
    let exact = Limits {
        bytes: file.content.len(),
        depth: 3,
        blocks: 32,
    };
    assert_eq!(gateways.fetch(&file.cid, exact).await.unwrap().as_ref(), file.content);
}

/// A node whose parts are all the node below it: 2^40 bytes in 41 blocks.
#[tokio::test]
async fn a_small_dag_that_unfolds_into_a_huge_file_is_refused_before_it_is_unfolded() {
    let mut blocks: Vec<(String, Vec<u8>)> = Vec::new();
    let mut cid = sw_ipfs::Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, &sha256(b"x")).unwrap());
    let mut size = 1u64;
    blocks.push((cid.to_string(), b"x".to_vec()));
    for _ in 0..40 {
        let link = [&[0x0a, cid.to_bytes().len() as u8][..], &cid.to_bytes()].concat();
        let mut node = Vec::new();
        for _ in 0..2 {
            node.extend([0x12, link.len() as u8]);
            node.extend(&link);
        }
        let mut unixfs = vec![0x08, 0x02];
        for _ in 0..2 {
            unixfs.push(0x20);
            let mut rest = size;
            while rest >= 0x80 {
                unixfs.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            unixfs.push(rest as u8);
        }
        node.extend([0x0a, unixfs.len() as u8]);
        node.extend(unixfs);
        cid = sw_ipfs::Cid::new_v1(0x70, multihash::Multihash::wrap(0x12, &sha256(&node)).unwrap());
        blocks.push((cid.to_string(), node));
        size *= 2;
    }
    let blocks: std::collections::HashMap<_, _> = blocks.into_iter().collect();
    let gateway = TestGateway::start(move |cid, format| match format {
        "raw" => Reply::Body(blocks[cid].clone()),
        _ => Reply::Status(404),
    })
    .await;
    let roomy = Limits {
        bytes: usize::MAX / 4,
        depth: 64,
        blocks: 1_000,
    };
    for limits in [
        LIMITS,
        Limits {
            bytes: usize::MAX / 4,
            ..LIMITS
        },
        roomy,
    ] {
        let error = gateways(&[&gateway]).fetch(&cid, limits).await.unwrap_err();
        assert!(matches!(error, FetchError::Content { .. }), "{error:?}");
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}
