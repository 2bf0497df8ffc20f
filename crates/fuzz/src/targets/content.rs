//! Content by CID, as gateways serve it.

use sw_ipfs::{Cid, Limits, fuzzing, parse_cid};
use sw_testkit::{bytes, fixture, list, text};

use crate::{Memory, Target, Verdict};

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    depth: 4,
    blocks: 512,
};

pub(super) fn cid() -> Target {
    let corpus = files()
        .into_iter()
        .map(|file| file.cid.to_string().into_bytes())
        .collect();
    Target::new(
        "cid",
        corpus,
        &["ipfs://", "/ipfs/", "Qm", "bafy", "f0155", "z", "m", "\u{1f980}"],
        |input| {
            let Some(cid) = str::from_utf8(input).ok().and_then(|text| parse_cid(text).ok()) else {
                return Ok(Verdict::Refused);
            };
            if parse_cid(&cid.to_string()) != Ok(cid) {
                return Err("the CID is another one after it was written and read".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
}

/// The first byte says which file is wanted, the second in what pieces the CAR comes.
pub(super) fn car() -> Target {
    let files = files();
    let corpus = files
        .iter()
        .enumerate()
        .map(|(index, file)| [&[index as u8, 0], file.car.as_slice()].concat())
        .collect();
    Target::new("car", corpus, &["\u{1}U", "gversion\u{1}"], move |input| {
        let [which, size, car @ ..] = input else {
            return Ok(Verdict::Refused);
        };
        let file = files.get(usize::from(*which) % files.len()).ok_or("no files")?;
        let size = if *size == 0 { car.len() } else { usize::from(*size) };
        match fuzzing::file_of_car(car, size, file.cid, LIMITS) {
            None => Ok(Verdict::Refused),
            Some(content) if content == file.content => Ok(Verdict::Accepted),
            Some(_) => Err("content that is not the one its CID names".to_owned()),
        }
    })
    // An identity CID of a few bytes takes a hundred, in a list that doubles as it grows.
    .within(Memory {
        base: 256 * 1024,
        per_byte: 160,
    })
}

pub(super) fn block() -> Target {
    let files = files();
    let blocks: Vec<(Cid, Vec<u8>)> = files.iter().flat_map(|file| file.blocks.clone()).collect();
    let corpus = blocks.iter().map(|(_, block)| block.clone()).collect();
    let wanted: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    Target::new("block", corpus, &["\u{8}\u{2}", "\u{12}"], move |input| {
        let mut accepted = false;
        for cid in &wanted {
            if fuzzing::file_of_block(input, *cid, LIMITS).is_some() {
                if !blocks.contains(&(*cid, input.to_vec())) {
                    return Err(format!("a block that is not `{cid}`"));
                }
                accepted = true;
            }
        }
        Ok(accepted.into())
    })
}

pub(super) fn node() -> Target {
    let corpus = files()
        .into_iter()
        .flat_map(|file| file.blocks)
        .map(|(_, block)| block)
        .collect();
    Target::new(
        "node",
        corpus,
        &["\u{8}\u{2}", "\u{12}\u{4}\u{1}U\u{0}\u{0}", "\u{18}", " \u{1}"],
        |input| match fuzzing::node(input) {
            None => Ok(Verdict::Refused),
            Some((data, parts, size)) if data > input.len() || parts > input.len() || (data as u64) > size => {
                Err("a node that is larger than its block".to_owned())
            }
            Some(_) => Ok(Verdict::Accepted),
        },
    )
    .within(Memory {
        base: 64 * 1024,
        per_byte: 160,
    })
}

struct File {
    cid: Cid,
    content: Vec<u8>,
    car: Vec<u8>,
    blocks: Vec<(Cid, Vec<u8>)>,
}

fn files() -> Vec<File> {
    list(&fixture("ipfs.json"))
        .iter()
        .filter_map(|file| {
            let blocks = list(&file["blocks"]).iter();
            Some(File {
                cid: parse_cid(text(&file["cid"])).ok()?,
                content: bytes(&file["content"]),
                car: bytes(&file["car"]),
                blocks: blocks
                    .filter_map(|block| Some((parse_cid(text(&block["cid"])).ok()?, bytes(&block["bytes"]))))
                    .collect(),
            })
        })
        .collect()
}
