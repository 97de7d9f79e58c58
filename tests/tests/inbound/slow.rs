//! Webhooks that arrive byte by byte.

use futures_util::future::join_all;
use onerouter_tests::raw::{Raw, metric};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, eventually};

use crate::messages::{sid, sms, stored};
use crate::{connection, host, post};

scenarios!(a_body_that_never_ends_is_cut_off_while_another_is_served);

async fn a_body_that_never_ends_is_cut_off_while_another_is_served(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let own = connection(&host, "twilio").await;
    let sms = sms(&acme).await;
    let address = host.gateway.address();
    let framings = [
        ("Content-Length: 100000\r\n", b"a".as_slice()),
        ("Transfer-Encoding: chunked\r\n", b"1\r\na\r\n"),
    ];
    let mut slow = Vec::new();
    for (framing, piece) in framings {
        let head = format!(
            "POST /webhooks/twilio/{own} HTTP/1.1\r\nHost: a\r\nContent-Type: {}\r\nExpect: 100-continue\r\n{framing}\r\n",
            post::FORM
        );
        let mut client = Raw::to(address).await;
        client.say(head).await;
        // The gateway has begun to read.
        assert_eq!(client.answer().await.unwrap().status, 100);
        client.say(piece).await;
        slow.push(client.trickle(piece));
    }
    let others = async {
        let told = post::twilio_status(&host, sid(&sms), "", "delivered").await;
        told.taken(&host).await;
        let path = format!("/v1/sms/{}", sms["id"].as_str().unwrap());
        assert_eq!(stored(&acme, &path).await["status"], "delivered");
    };
    let (cut, ()) = tokio::join!(join_all(slow), others);
    for answers in cut {
        let got: Vec<_> = answers
            .iter()
            .map(|answer| (answer.status, answer.code()))
            .collect();
        assert_eq!(got, [(408, "request_timeout".to_owned())]);
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    assert_eq!(ground.count("received_webhooks").await, 1);
    let held = "onerouter_http_body_bytes_held";
    eventually("bodies are given back", || async {
        metric(address, held).await == 0.0
    })
    .await;
}
