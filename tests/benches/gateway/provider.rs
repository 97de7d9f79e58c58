//! The provider behind every gateway: it answers each request at once as the real one would, with a
//! message id of its own, and costs as little as it can.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::load::{content_length, end_of_head};

/// An account that nobody has.
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000b01";
pub(crate) const TOKEN: &str = "benchmarktoken000000000000000001";
pub(crate) const SENDER: &str = "+12025550142";
/// Where the adapter sends its requests.
pub(crate) const HOST: &str = "api.twilio.com";
/// The same of the one for payments, and a key that nobody has.
pub(crate) const PAYMENTS_HOST: &str = "api.razorpay.com";
pub(crate) const PAYMENTS_KEY: (&str, &str) =
    ("rzp_test_benchmark000000", "benchmarksecret00000001");

/// A running provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    made: AtomicU64,
    waiting: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            made: AtomicU64::new(0),
            waiting: watch::Sender::new(0),
            held: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        Self { address, state }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers nothing until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.state.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.state.held.send_replace(false);
    }

    /// Waits until so many requests wait for their answers.
    pub(crate) async fn holds(&self, count: usize) {
        let mut waiting = self.state.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting >= count).await.unwrap();
    }
}

/// An error is a client that has gone.
async fn serve(mut stream: TcpStream, state: &State) -> Option<()> {
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        let end = loop {
            if let Some(end) = end_of_head(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let head = std::str::from_utf8(buffer.get(..end)?).ok()?;
        let answer = Answer::to(head);
        let total = end + content_length(head).unwrap_or(0);
        while buffer.len() < total {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        buffer.clear();
        if *state.held.borrow() {
            state.waiting.send_modify(|waiting| *waiting += 1);
            let mut held = state.held.subscribe();
            held.wait_for(|held| !held).await.ok()?;
            state.waiting.send_modify(|waiting| *waiting -= 1);
        }
        let number = state.made.fetch_add(1, Relaxed);
        let (status, body) = match answer {
            Answer::Message => ("201 Created", message(number)),
            Answer::Order => ("200 OK", order(number)),
            Answer::NoOrders => ("200 OK", NO_ORDERS.to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.ok()?;
    }
}

/// What a request gets.
enum Answer {
    Message,
    Order,
    NoOrders,
}

impl Answer {
    fn to(head: &str) -> Self {
        if head.starts_with("POST /v1/orders") {
            Self::Order
        } else if head.starts_with("GET /v1/orders") {
            Self::NoOrders
        } else {
            Self::Message
        }
    }
}

const NO_ORDERS: &str = r#"{"entity":"collection","count":0,"items":[]}"#;

/// What the provider says about a new order.
fn order(number: u64) -> String {
    format!(
        r#"{{"amount":50000,"amount_due":50000,"amount_paid":0,"attempts":0,"created_at":1692853305,"currency":"INR","entity":"order","id":"order_{number:014}","notes":[],"offer_id":null,"receipt":null,"status":"created"}}"#
    )
}

/// What the provider says about a new message.
pub(crate) fn message(number: u64) -> String {
    format!(
        r#"{{"account_sid":"{ACCOUNT}","api_version":"2010-04-01","body":"Your code is 123456.","date_created":"Thu, 24 Aug 2023 05:01:45 +0000","date_sent":null,"date_updated":"Thu, 24 Aug 2023 05:01:45 +0000","direction":"outbound-api","error_code":null,"error_message":null,"from":"{SENDER}","messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,"price_unit":"USD","sid":"SM{number:032x}","status":"queued","subresource_uris":{{"media":"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{number:032x}/Media.json"}},"to":"+14155550123","uri":"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{number:032x}.json"}}"#
    )
}
