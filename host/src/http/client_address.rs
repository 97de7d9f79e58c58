//! Where a request comes from: the other end of its connection, or, behind proxies that are trusted,
//! what they say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a connection; the server puts it beside each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The client's address. Each proxy appends whom it has the request from, so the list is read from its
/// end, as far as those who wrote it are trusted; whatever a client has put before that counts nothing.
pub(crate) fn of(Peer(peer): Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let hops = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = hops.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !is_trusted(&client) {
            break;
        }
        // What is no address was not written by a proxy: the nearest that is known counts.
        let Some(address) = parse(hop.trim()) else {
            break;
        };
        client = address;
    }
    client
}

/// Puts what `told` makes of the client's address beside each request, for routes that know nothing of ours.
pub(crate) fn tell<T: Clone + Send + Sync + 'static>(
    router: Router,
    trusted: Vec<IpNet>,
    told: fn(IpAddr) -> T,
) -> Router {
    let trusted: Arc<[IpNet]> = trusted.into();
    router.layer(map_request(move |mut request: Request| {
        let peer = request.extensions().get::<Peer>().copied();
        if let Some(peer) = peer {
            let address = of(peer, request.headers(), &trusted);
            request.extensions_mut().insert(told(address));
        }
        std::future::ready(request)
    }))
}

/// An address, perhaps with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let plain = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = plain.unwrap_or(text).parse::<IpAddr>();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    let address = address.or_else(|_no_address| with_port());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::try_from(*value).unwrap());
        }
        of(Peer(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_they_are() {
        assert_eq!(client("203.0.113.7", &["192.0.2.1"]), "203.0.113.7");
        assert_eq!(client("203.0.113.7", &[]), "203.0.113.7");
        assert_eq!(client("::ffff:203.0.113.7", &[]), "203.0.113.7");
    }

    #[test]
    fn proxies_are_believed_as_far_as_they_are_trusted() {
        for (forwarded, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            // What stands before the first stranger was written by that stranger.
            (&["198.51.100.9, 192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            (&["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, fd00::2"], "192.0.2.1"),
            (&["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
            (&["192.0.2.1, nonsense"], "10.0.0.1"),
            (&["192.0.2.1, nonsense, 10.1.1.1"], "10.1.1.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
    }
}
