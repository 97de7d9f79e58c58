//! Listing messages: order, filters, pages.

use onerouter_sandbox::twilio::{ACCOUNT_SID, FROM_NUMBER, SECOND_FROM_NUMBER};
use reqwest::Method;
use serde_json::Value;

use crate::rig::Rig;

async fn list(rig: &Rig, query: &[(&str, &str)]) -> Value {
    let answer = rig
        .send(rig.twilio(Method::GET, &rig.messages_url()).query(query))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn sids(page: &Value) -> Vec<&str> {
    page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["sid"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_link_to_each_other_and_back() {
    let rig = Rig::start().await;
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, rig.text_to("+14155550123").await);
    }
    let mut page = list(&rig, &[("PageSize", "2"), ("To", "+14155550123")]).await;
    let base =
        format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json?To=%2B14155550123&PageSize=2");
    assert_eq!(page["first_page_uri"], format!("{base}&Page=0"));
    assert_eq!(
        page["next_page_uri"],
        format!("{base}&Page=1&PageToken=PA{}", newest_first[1])
    );
    assert_eq!(page["previous_page_uri"], Value::Null);
    let mut pages = vec![page.clone()];
    while let Some(next) = page["next_page_uri"].as_str() {
        page = rig
            .send(rig.twilio(Method::GET, &rig.url(&format!("/twilio{next}"))))
            .await
            .body;
        pages.push(page.clone());
    }
    assert_eq!(
        pages.iter().flat_map(sids).collect::<Vec<_>>(),
        newest_first
    );
    let numbers: Vec<_> = pages
        .iter()
        .map(|page| (&page["page"], &page["start"], &page["end"]))
        .collect();
    let expected = [(0, 0, 1), (1, 2, 3), (2, 4, 4)]
        .map(|(a, b, c)| (Value::from(a), Value::from(b), Value::from(c)));
    assert_eq!(
        numbers,
        expected
            .iter()
            .map(|(a, b, c)| (a, b, c))
            .collect::<Vec<_>>()
    );
    let back = pages[2]["previous_page_uri"].as_str().unwrap();
    let back = rig
        .send(rig.twilio(Method::GET, &rig.url(&format!("/twilio{back}"))))
        .await
        .body;
    assert_eq!(sids(&back), sids(&pages[1]));
}

#[tokio::test]
async fn an_empty_list_is_a_page_too() {
    let rig = Rig::start().await;
    let page = list(&rig, &[]).await;
    assert_eq!(
        (&page["messages"], &page["page_size"]),
        (&Value::Array(vec![]), &50.into())
    );
    assert_eq!(
        (&page["start"], &page["end"], &page["next_page_uri"]),
        (&0.into(), &0.into(), &Value::Null)
    );
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let rig = Rig::start().await;
    let first = rig.text_to("+14155550123").await;
    rig.advance(86_400).await;
    let form = [
        ("To", "+14155550124"),
        ("From", SECOND_FROM_NUMBER),
        ("Body", "Hi"),
    ];
    let second = rig.text(&form).await.body["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.advance(6).await;
    let (first, second) = (first.as_str(), second.as_str());
    for (filter, expected) in [
        (("To", "+14155550123"), vec![first]),
        (("From", FROM_NUMBER), vec![first]),
        (("From", SECOND_FROM_NUMBER), vec![second]),
        (("To", "+14155550199"), vec![]),
        (("DateSent", "2026-01-15"), vec![first]),
        (("DateSent", "2026-01-16"), vec![second]),
        (("DateSent", "2026-01-17"), vec![]),
        (("DateSent<", "2026-01-15"), vec![first]),
        (("DateSent<", "2026-01-16"), vec![second, first]),
        (("DateSent>", "2026-01-16"), vec![second]),
        (("DateSent>", "2026-01-15"), vec![second, first]),
        (("DateSent", "<=2026-01-15"), vec![first]),
        (("DateSent", ">=2026-01-16"), vec![second]),
    ] {
        assert_eq!(sids(&list(&rig, &[filter]).await), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_date_filter_leaves_out_what_was_not_sent() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    let today = [("DateSent", "2026-01-15")];
    assert!(sids(&list(&rig, &today).await).is_empty());
    assert_eq!(sids(&list(&rig, &[]).await), [sid.as_str()]);
    rig.advance(4).await;
    assert_eq!(sids(&list(&rig, &today).await), [sid.as_str()]);
}

#[tokio::test]
async fn bad_list_parameters_are_refused() {
    let rig = Rig::start().await;
    for query in [
        ("DateSent", "yesterday"),
        ("DateSent>", "2026-13-01"),
        ("PageSize", "0"),
        ("PageSize", "many"),
        ("PageToken", "nonsense"),
        ("PageToken", "PASM00000000000000000000000000000000"),
    ] {
        let answer = rig
            .send(rig.twilio(Method::GET, &rig.messages_url()).query(&[query]))
            .await;
        answer.assert_twilio_error(400, 20422);
    }
}
