//! More clients than there is room for.

use onerouter::gateway::Doubles;
use onerouter_tests::raw::{HEALTH, Raw, gateway, key_request, metric};

fn room_for(connections: usize) -> Doubles {
    Doubles {
        connections_max: Some(connections),
        ..Doubles::default()
    }
}

async fn served(client: &mut Raw) -> bool {
    client.say(HEALTH).await;
    client
        .answer()
        .await
        .is_some_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn the_client_that_was_idle_for_longest_gives_way_to_a_new_one() {
    let (gateway, _folder) = gateway(room_for(3)).await;
    let address = gateway.address();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::to(address).await;
        assert!(served(&mut client).await);
        clients.push(client);
    }
    // The first one was served again since.
    assert!(served(&mut clients[0]).await);
    let mut new = Raw::to(address).await;
    assert!(served(&mut new).await);
    assert!(clients[1].answer().await.is_none());
    for client in [0, 2] {
        assert!(served(&mut clients[client]).await, "{client}");
    }
    assert!(metric(address, "onerouter_http_connections_evicted_total").await >= 1.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn slow_and_silent_crowds_keep_nobody_out() {
    let (gateway, _folder) = gateway(room_for(20)).await;
    let address = gateway.address();
    let mut crowd = Vec::new();
    let openings = [
        "",
        "G",
        "GET /api/health HTTP/1.1\r\nHost: a\r\nA: ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for n in 0..400 {
        let mut slow = Raw::to(address).await;
        slow.say(openings[n % openings.len()]).await;
        crowd.push(slow);
        if n % 10 == 0 {
            assert!(served(&mut Raw::to(address).await).await, "after {n}");
        }
    }
    let connected = metric(address, "onerouter_http_connections").await;
    assert!(connected <= 20.0, "{connected}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn who_is_being_answered_stays_and_the_newcomer_is_told() {
    let (gateway, _folder) = gateway(room_for(3)).await;
    let address = gateway.address();
    let mut busy = Vec::new();
    for n in 0..3 {
        let body = format!(r#"{{"name":"n{n}","environment":"test"}}"#);
        let mut client = Raw::to(address).await;
        client
            .say(key_request(&format!("Content-Length: {}\r\n", body.len())))
            .await;
        // A handler waits for its body.
        assert_eq!(client.answer().await.unwrap().status, 100);
        busy.push((client, body));
    }
    // Whether the newcomer speaks first or not.
    for opening in ["", HEALTH] {
        let mut new = Raw::to(address).await;
        new.say(opening).await;
        let refused = new.answer().await.expect("the refusal was lost");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "overloaded")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(new.answer().await.is_none());
    }
    for (client, body) in &mut busy {
        client.say(body).await;
        assert_eq!(client.answer().await.unwrap().status, 201);
    }
    // Their seats are for anybody now.
    assert!(served(&mut Raw::to(address).await).await);
    assert!(metric(address, "onerouter_http_connections_refused_total").await >= 2.0);
    assert!(metric(address, "onerouter_http_refused_early_total").await >= 2.0);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_keeps_its_seat() {
    const REQUESTS: usize = 400;
    let (gateway, _folder) = gateway(room_for(3)).await;
    let address = gateway.address();
    let mut slow = Raw::to(address).await;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    slow.say(request.repeat(REQUESTS) + "nonsense\r\n\r\n")
        .await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut new = Raw::to(address).await;
        assert!(served(&mut new).await);
        crowd.push(new);
    }
    let answers = slow.until_closed().await;
    assert_eq!(answers.len(), REQUESTS + 1);
    let whole: usize = answers.iter().map(|answer| answer.body.len()).sum();
    assert!(whole > 16 << 20, "{whole} bytes fit into the sockets");
    gateway.shutdown().await;
}
