//! Fetching from honest, broken and hostile gateways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod gateway;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gateway::{DEEP, LIMITS, Reply, Sample, TestGateway, WIDE, blocks_by_name, gateways, sample, samples};
use sw_ipfs::{CarError, Cid, ContentError, FetchError, GatewayFault, NodeError, NodeKind, Way, parse_cid};

/// The faults of the gateways, in their order, when none served the content.
async fn faults(list: &[&TestGateway], sample: &Sample) -> Vec<Vec<(Way, GatewayFault)>> {
    match gateways(list).fetch(&sample.cid, LIMITS).await {
        Err(error @ FetchError::Unavailable { .. }) => {
            assert!(error.is_retryable());
            let FetchError::Unavailable { failures, .. } = error else {
                unreachable!()
            };
            failures.into_iter().map(|failure| failure.faults).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_file_of_another_implementation_is_read_from_a_car_and_by_block() {
    let mut read = 0;
    for sample in samples() {
        let honest = TestGateway::honest(&sample).await;
        let fetched = gateways(&[&honest]).fetch(&sample.cid, LIMITS).await.unwrap();
        assert_eq!(fetched.as_ref(), sample.content, "{}", sample.name);
        assert_eq!(honest.requests(), [format!("car {}", sample.cid)]);

        let blocks = blocks_by_name(&sample);
        let blocks_only = TestGateway::start(move |cid, format| match format {
            "raw" => Reply::Body(blocks[cid].clone()),
            _ => Reply::Status(406),
        })
        .await;
        let fetched = gateways(&[&blocks_only]).fetch(&sample.cid, LIMITS).await.unwrap();
        assert_eq!(fetched.into_bytes(), sample.content, "{}", sample.name);
        assert_eq!(
            blocks_only.requests().len(),
            1 + sample.blocks.len(),
            "{}: each block once",
            sample.name
        );
        read += 2;
    }
    assert_eq!(read, 16);
}

#[tokio::test]
async fn one_good_gateway_of_five_is_enough_wherever_it_stands() {
    let file = sample(WIDE);
    for place in 0..5 {
        let mut list = Vec::new();
        for number in 0..5 {
            let gateway = match number {
                _ if number == place => TestGateway::honest(&file).await,
                0 => {
                    TestGateway::always(|| {
                        Reply::Html("<!DOCTYPE html><html><body>Checking your browser</body></html>")
                    })
                    .await
                }
                1 => TestGateway::always(|| Reply::Status(502)).await,
                2 => TestGateway::always(|| Reply::Body(b"{\"oracles\": []}".to_vec())).await,
                3 => TestGateway::always(|| Reply::Endless(vec![0; 65_536])).await,
                _ => tampering(&file).await,
            };
            list.push(gateway);
        }
        let list: Vec<&TestGateway> = list.iter().collect();
        let fetched = gateways(&list).fetch(&file.cid, LIMITS).await.unwrap();
        assert_eq!(fetched.as_ref(), file.content, "good gateway at {place}");
    }
}

/// Every block with its last byte changed.
async fn tampering(sample: &Sample) -> TestGateway {
    let blocks = blocks_by_name(sample);
    let mut car = sample.car.clone();
    *car.last_mut().unwrap() ^= 1;
    TestGateway::start(move |cid, format| match format {
        "car" => Reply::Body(car.clone()),
        _ => Reply::Body(blocks[cid].iter().map(|byte| byte ^ 1).collect()),
    })
    .await
}

#[tokio::test]
async fn tampered_bytes_are_never_returned_and_the_block_is_named() {
    for file in samples() {
        let faults = faults(&[&tampering(&file).await], &file).await;
        assert!(
            matches!(
                faults[0][..],
                [
                    (Way::Car, GatewayFault::WrongBlock { .. }),
                    (Way::Blocks, GatewayFault::WrongBlock { .. })
                ]
            ) || file.content.is_empty(),
            "{}: {faults:?}",
            file.name
        );
    }
}

/// B4: any changed byte of a CAR, and the answer is the content or none.
#[tokio::test]
async fn a_car_with_any_byte_changed_gives_the_content_or_nothing() {
    let file = sample(DEEP);
    let changed = Arc::new(AtomicUsize::new(0));
    let (car, position) = (file.car.clone(), Arc::clone(&changed));
    let gateway = TestGateway::start(move |_, format| match format {
        "car" => {
            let mut car = car.clone();
            car[position.load(Ordering::SeqCst)] ^= 0x10;
            Reply::Body(car)
        }
        _ => Reply::Status(404),
    })
    .await;
    let gateways = gateways(&[&gateway]);
    let mut refused = 0;
    for position in (0..file.car.len()).step_by(7) {
        changed.store(position, Ordering::SeqCst);
        match gateways.fetch(&file.cid, LIMITS).await {
            Ok(fetched) => assert_eq!(fetched.as_ref(), file.content, "byte {position}"),
            Err(error) => {
                assert!(error.is_retryable(), "byte {position}: {error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > file.car.len() / 10, "{refused}");
}

#[tokio::test]
async fn each_gateway_is_listed_with_what_it_did_in_each_way() {
    let file = sample(DEEP);
    let page =
        TestGateway::always(|| Reply::Html("<!DOCTYPE html><html><body>Sorry, we cannot find it</body></html>")).await;
    let missing = TestGateway::always(|| Reply::Status(404)).await;
    let plain = TestGateway::always(|| Reply::Body(b"plain".to_vec())).await;
    let gone = {
        let mut gone = TestGateway::always(|| Reply::Silence).await;
        gone.url = "http://127.0.0.1:1".parse().unwrap();
        gone
    };
    let error = gateways(&[&page, &missing, &plain, &gone])
        .fetch(&file.cid, LIMITS)
        .await
        .unwrap_err();
    let message = error.to_string();
    for part in [
        format!(
            "no IPFS gateway served `{}`: {} (as a CAR: not a CAR file, by block: a block that is not `{}`)",
            file.cid, page.url, file.cid
        ),
        format!(
            "; {} (as a CAR: HTTP status 404, by block: HTTP status 404); ",
            missing.url
        ),
        "; http://127.0.0.1:1 (as a CAR: unreachable: ".to_owned(),
    ] {
        assert!(
            message.contains(&part),
            "{message}
lacks
{part}"
        );
    }
    assert_eq!(
        message.matches("by block").count(),
        3,
        "an unreachable gateway is asked once: {message}"
    );
}

#[tokio::test]
async fn a_car_that_breaks_off_is_completed_by_block() {
    let file = sample(DEEP);
    let (half, blocks) = (file.car[..file.car.len() / 2].to_vec(), blocks_by_name(&file));
    for broken in [true, false] {
        let (half, blocks) = (half.clone(), blocks.clone());
        let gateway = TestGateway::start(move |cid, format| match format {
            "car" if broken => Reply::Broken(half.clone()),
            "car" => Reply::Body(half.clone()),
            _ => Reply::Body(blocks[cid].clone()),
        })
        .await;
        let fetched = gateways(&[&gateway]).fetch(&file.cid, LIMITS).await.unwrap();
        assert_eq!(fetched.as_ref(), file.content);
        let asked = gateway.requests().len();
        assert!(
            (2..file.blocks.len()).contains(&asked),
            "{asked} requests, although half the blocks were there"
        );
    }
}

#[tokio::test]
async fn a_car_may_repeat_blocks_hold_others_and_be_in_any_order() {
    let (file, other) = (sample(DEEP), sample(WIDE));
    let header = usize::from(file.car[0]) + 1;
    let section = |cid: &Cid, block: &[u8]| {
        let cid = cid.to_bytes();
        let length = cid.len() + block.len();
        let mut section = vec![(length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
        section.extend(cid);
        section.extend(block);
        section
    };
    let mut car = file.car[..header].to_vec();
    for (cid, block) in file.blocks.iter().rev().chain(&other.blocks).chain(&file.blocks) {
        car.extend(section(cid, block));
    }
    let gateway = TestGateway::start(move |_, format| match format {
        "car" => Reply::Body(car.clone()),
        _ => Reply::Status(500),
    })
    .await;
    assert_eq!(
        gateways(&[&gateway]).fetch(&file.cid, LIMITS).await.unwrap().as_ref(),
        file.content
    );
}

#[tokio::test]
async fn blocks_of_one_gateway_serve_with_those_of_another() {
    let file = sample(WIDE);
    let parts: Vec<_> = file
        .blocks
        .iter()
        .filter(|(cid, _)| *cid != file.cid)
        .cloned()
        .collect();
    let knowing = |known: Vec<(Cid, Vec<u8>)>| {
        let known: HashMap<String, Vec<u8>> = known.into_iter().map(|(cid, block)| (cid.to_string(), block)).collect();
        move |cid: &str, format: &str| match (format, known.get(cid)) {
            ("raw", Some(block)) => Reply::Body(block.clone()),
            _ => Reply::Status(404),
        }
    };
    let root: Vec<_> = file
        .blocks
        .iter()
        .filter(|(cid, _)| *cid == file.cid)
        .cloned()
        .collect();
    let first = TestGateway::start(knowing(root.into_iter().chain(parts[..2].to_vec()).collect())).await;
    let second = TestGateway::start(knowing(parts)).await;
    assert_eq!(
        gateways(&[&first, &second])
            .fetch(&file.cid, LIMITS)
            .await
            .unwrap()
            .as_ref(),
        file.content
    );
}

/// A block cannot contain its own hash; one that says so is not the block that was asked for.
#[tokio::test]
async fn a_block_that_links_to_itself_is_the_wrong_block() {
    let cid = parse_cid("bafybeidrc7xumtj3wj5fdtvx7bmb3pmsrmm2p2hlalbx2n7jk3gog7guoy").unwrap();
    let link = [&[0x0a, 36][..], &cid.to_bytes()].concat();
    let block = [&[0x12, link.len() as u8][..], &link, b"\x0a\x04\x08\x02\x20\x01"].concat();
    let gateway = TestGateway::always(move || Reply::Body(block.clone())).await;
    let error = gateways(&[&gateway]).fetch(&cid, LIMITS).await.unwrap_err();
    let FetchError::Unavailable { failures, .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(failures[0].faults[1].1, GatewayFault::WrongBlock { .. }));
    assert!(matches!(failures[0].faults[0].1, GatewayFault::Car(CarError::NotCar)));
    assert_eq!(gateway.requests().len(), 2);
}

#[tokio::test]
async fn what_is_not_a_file_is_named() {
    // The empty directory, which every IPFS node knows.
    let directory = parse_cid("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn").unwrap();
    let gateway = TestGateway::always(|| Reply::Body(b"\x0a\x02\x08\x01".to_vec())).await;
    let error = gateways(&[&gateway]).fetch(&directory, LIMITS).await.unwrap_err();
    let FetchError::Content {
        source: ContentError::Node { source, .. },
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(source, NodeError::NotAFile(NodeKind::Directory));
}

#[tokio::test]
async fn a_cid_of_another_hash_or_codec_is_refused_without_a_request() {
    let gateway = TestGateway::always(|| Reply::Status(500)).await;
    let gateways = gateways(&[&gateway]);
    let sha512 = Cid::new_v1(0x55, multihash::Multihash::wrap(0x13, &[0; 64]).unwrap());
    let short = Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, &[0; 20]).unwrap());
    for cid in [sha512, short] {
        let error = gateways.fetch(&cid, LIMITS).await.unwrap_err();
        assert!(
            matches!(
                error,
                FetchError::Content {
                    source: ContentError::UnsupportedHash { .. },
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert!(gateway.requests().is_empty());
    let cbor = Cid::new_v1(0x71, multihash::Multihash::wrap(0x00, b"\xa0").unwrap());
    let error = gateways.fetch(&cbor, LIMITS).await.unwrap_err();
    assert!(matches!(
        error,
        FetchError::Content {
            source: ContentError::UnsupportedCodec { codec: 0x71, .. },
            ..
        }
    ));
    assert!(gateway.requests().is_empty());
}

#[tokio::test]
async fn a_cid_that_contains_its_content_needs_nobody() {
    let cid = parse_cid("bafkqac3imvwgy3zao5xxe3de").unwrap();
    assert_eq!(
        gateways(&[]).fetch(&cid, LIMITS).await.unwrap().as_ref(),
        b"hello world"
    );
    let file = sample(WIDE);
    let error = gateways(&[]).fetch(&file.cid, LIMITS).await.unwrap_err();
    assert!(matches!(error, FetchError::NoGateway { .. }) && !error.is_retryable());
}

#[tokio::test]
async fn a_gateway_may_send_on_to_another_but_not_for_ever() {
    let file = sample(WIDE);
    let honest = TestGateway::honest(&file).await;
    let to = honest.url.expose_url().to_string();
    let moved = TestGateway::always(move || Reply::Redirect(to.clone())).await;
    let fetched = gateways(&[&moved]).fetch(&file.cid, LIMITS).await.unwrap();
    assert_eq!(fetched.as_ref(), file.content);

    let round = TestGateway::always(|| Reply::Redirect("/".to_owned())).await;
    for faults in faults(&[&round], &file).await {
        let stopped = |fault: &GatewayFault| matches!(fault, GatewayFault::Status(307));
        assert!(faults.iter().all(|(_, fault)| stopped(fault)), "{faults:?}");
    }
    assert_eq!(
        round.requests().len(),
        2 * 4,
        "the request and three redirects, each way"
    );
}
