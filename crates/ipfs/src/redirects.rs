//! Where a gateway may send a request on to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::{Url, redirect::Policy};

/// The redirects to be followed for gateways: three at most, none from `https` to `http`, and none from the internet into
/// a private network.
///
/// What comes back is compared with its CID wherever it comes from, but a request made on a stranger's word can do harm
/// by itself. A gateway that is in a private network may redirect within it. Names are not resolved: only addresses and
/// names that say that they are local are told.
pub fn gateway_redirects() -> Policy {
    Policy::custom(|attempt| {
        let allowed = match attempt.previous() {
            [first, .., last] => may_lead(first, last, attempt.url()),
            [only] => may_lead(only, only, attempt.url()),
            [] => true,
        };
        // The first of the previous ones is no redirect.
        if allowed && attempt.previous().len() <= MOST {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// Whether a chain of redirects that began at `first` may go from `last` to `next`.
fn may_lead(first: &Url, last: &Url, next: &Url) -> bool {
    let keeps_secrecy = last.scheme() != "https" || next.scheme() == "https";
    keeps_secrecy && (is_private(first) || !is_private(next))
}

fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse() {
        Ok(IpAddr::V4(address)) => is_private_v4(address),
        Ok(IpAddr::V6(address)) => is_private_v6(address),
        // A name without a dot is one of the own network.
        Err(_) => !host.contains('.') || LOCAL_NAMES.iter().any(|ending| host.ends_with(ending)),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // Beside what the standard library tells: 0.0.0.0/8, and 100.64.0.0/10 of carriers and overlay networks (RFC 6598).
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || first == 0
        || (first, second & 0xc0) == (100, 64)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address.to_ipv4().is_some_and(is_private_v4)
}

const MOST: usize = 3;
/// RFC 6761, RFC 6762, and the name reserved for private networks by ICANN in 2024.
const LOCAL_NAMES: [&str; 3] = [".localhost", ".local", ".internal"];

#[cfg(test)]
mod tests {
    use super::*;

    fn may(first: &str, last: &str, next: &str) -> bool {
        let url = |text: &str| text.parse().expect("a URL");
        may_lead(&url(first), &url(last), &url(next))
    }

    #[test]
    fn a_gateway_of_the_internet_does_not_lead_into_a_private_network() {
        let gateway = "https://ipfs.example/ipfs/bafy";
        for private in [
            "https://localhost/",
            "https://127.0.0.1:8545/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0.0.0.0/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://geth/",
            "https://node.local/",
            "https://metadata.google.internal./",
            "https://x.localhost/",
        ] {
            assert!(!may(gateway, gateway, private), "{private}");
            assert!(!may(gateway, "https://other.example/", private), "{private}");
            assert!(
                may("http://localhost:8080/", "http://localhost:8080/", private),
                "{private}"
            );
        }
    }

    #[test]
    fn a_gateway_may_lead_to_another_of_the_internet_without_giving_up_encryption() {
        let gateway = "https://dweb.example/ipfs/bafy";
        for public in [
            "https://bafy.ipfs.dweb.example/",
            "https://172.32.0.1/",
            "https://[2001:db8::1]/",
        ] {
            assert!(may(gateway, gateway, public), "{public}");
        }
        assert!(!may(gateway, gateway, "http://bafy.ipfs.dweb.example/"));
        assert!(may(
            "http://dweb.example/",
            "http://dweb.example/",
            "http://bafy.ipfs.dweb.example/"
        ));
    }
}
