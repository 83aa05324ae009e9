//! What is replaced and what stays. All data is invented: documentation domains and addresses, published
//! test card numbers, numbers reserved for fiction.

use super::*;
use crate::document::Ordinal;

fn stage(options: Value) -> Pii {
    Pii::new(parse_options(options).expect("options fit")).expect("options are valid")
}

fn replaced(stage: &Pii, text: &str) -> String {
    let found = stage.finder.find(text);
    stage.rewrite(text, &found).unwrap_or_else(|| text.to_owned())
}

#[test]
fn personal_data_goes() {
    let stage = stage(serde_json::json!({"public_ips_only": false, "phone_regions": ["US", "GB", "DE"]}));
    let cases = [
        // e-mail
        ("Write to jane.doe+news@example.com.", "Write to <EMAIL>."),
        ("<a@example.co.uk>,b_1@sub.example.org;", "<<EMAIL>>,<EMAIL>;"),
        ("邮箱bob@example.com是我的", "邮箱<EMAIL>是我的"),
        ("josé@example.com and x@bücher.example.com", "<EMAIL> and <EMAIL>"),
        ("end a@example.com.Then more", "end <EMAIL>.Then more"),
        ("root@[192.0.2.7]", "<EMAIL>"),
        ("mailto:jane@example.com?subject=x", "mailto:<EMAIL>?subject=x"),
        // IP
        ("host 192.0.2.44:8080, 198.51.100.0/24", "host <IP_ADDRESS>:8080, <IP_ADDRESS>/24"),
        ("http://203.0.113.9/x", "http://<IP_ADDRESS>/x"),
        ("ip address 10.1.2.3", "ip address <IP_ADDRESS>"),
        ("地址是192.0.2.44。", "地址是<IP_ADDRESS>。"),
        ("at 2001:db8::8a2e:370:7334.", "at <IP_ADDRESS>."),
        ("[2001:db8:0:0:0:0:2:1]:443", "[<IP_ADDRESS>]:443"),
        ("2001:db8::192.0.2.33", "<IP_ADDRESS>"),
        // cards
        ("pay 4111 1111 1111 1111 now", "pay <CREDIT_CARD> now"),
        ("5555-5555-5555-4444", "<CREDIT_CARD>"),
        ("378282246310005 or 3782 822463 10005", "<CREDIT_CARD> or <CREDIT_CARD>"),
        ("信用卡4111111111111111号", "信用卡<CREDIT_CARD>号"),
        ("４１１１１１１１１１１１１１１１", "<CREDIT_CARD>"),
        ("card 4222222222222", "card <CREDIT_CARD>"),
        // IBAN
        ("IBAN GB82 WEST 1234 5698 7654 32.", "IBAN <IBAN>."),
        ("DE89370400440532013000", "<IBAN>"),
        ("to de89370400440532013000 please", "to <IBAN> please"),
        // phones
        ("call +1 202-555-0143 or (202) 555-0143", "call <PHONE_NUMBER> or <PHONE_NUMBER>"),
        ("202.555.0143", "<PHONE_NUMBER>"),
        ("tel 2025550143", "tel <PHONE_NUMBER>"),
        ("+44 20 7946 0958", "<PHONE_NUMBER>"),
        ("020 7946 0958", "<PHONE_NUMBER>"),
        ("+49 (0)30 23125 123", "<PHONE_NUMBER>"),
        ("电话+442079460958转", "电话<PHONE_NUMBER>转"),
        ("1-202-555-0143", "<PHONE_NUMBER>"),
        ("(202) 555-0143x12", "<PHONE_NUMBER>x12"),
        ("+44 7700 900 123", "<PHONE_NUMBER>"),
    ];
    for (text, expected) in cases {
        assert_eq!(replaced(&stage, text), expected, "{text}");
    }
}

#[test]
fn other_numbers_stay() {
    let stage = stage(serde_json::json!({"public_ips_only": false, "phone_regions": ["US", "GB", "DE"]}));
    let cases = [
        "version 1.2.3.4.5 and v1.2.3.4, Chrome/120.0.99.13",
        "section 3.2.1.4 of the text",
        "see 1.2.3.4 below",
        "999.1.1.1 and 01.2.3.44 and 1.2.3.400",
        "10.0.0.44-beta",
        "2026-11-23 10:15:30, 23.11.2026, 11/23/2026",
        "$1,234,567.89 and 1 234 567 890",
        "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2",
        "order 202-555-0143",
        "13812345678",
        "1700000000000 and 20261123101530",
        "4111111111111112 4111111111111111000",
        "0.4111111111111111",
        "https://example.com/status/4111111111111111",
        "1234 4111 1111 1111 1111 1234",
        "id=2025550143",
        "a number like 125-17-4954",
        "+12 and +1 234 and +100000000000000",
        "icon@2x.png react@18.2.0 user@localhost @jane a@b @ x@",
        "std::vector::push_back a::b ::1 12:34:56 00:1a:2b:3c:4d:5e",
        "GB82 WEST 1234 5698 7654 33 and XX8237040044053201300",
        "3.14159265358979323846264338327950288",
        "AB12CD34EF56 and 555-0143",
        "scores 10-12-14, 3-2-1, 202-555",
        "000000000000000000",
    ];
    for text in cases {
        assert_eq!(replaced(&stage, text), text, "{text}");
    }
}

#[test]
fn ranges_that_belong_to_nobody_stay() {
    let stage = stage(serde_json::json!({}));
    for text in [
        "10.0.0.44",
        "172.16.99.1",
        "192.168.0.77",
        "127.0.0.1:80",
        "169.254.33.1",
        "100.64.0.44",
        "192.0.2.44",
        "198.51.100.44",
        "203.0.113.44",
        "198.18.99.1",
        "240.0.0.99",
        "255.255.255.0",
        "224.0.0.251",
        "0.0.0.99",
        "2001:db8::8a2e:370:7334",
        "fe80::1ff:fe23:4567:890a",
        "fd12:3456:789a:1::1",
    ] {
        assert_eq!(replaced(&stage, text), text);
    }
    // The address that root servers publish, and a public resolver's.
    assert_eq!(replaced(&stage, "198.41.0.4 2001:503:ba3e::2:30"), "<IP_ADDRESS> <IP_ADDRESS>");
}

#[test]
fn entities_and_placeholders_are_chosen() {
    let stage = stage(serde_json::json!({
        "entities": ["email"], "placeholders": {"email": "email@example.com"}
    }));
    let text = "a@example.org 4111 1111 1111 1111";
    assert_eq!(replaced(&stage, text), "email@example.com 4111 1111 1111 1111");
    let wrong = Pii::new(Config { phone_regions: vec!["XX".into(), "us".into()], ..Config::default() });
    assert_eq!(wrong.err().map(|errors| errors.len()), Some(2));
}

#[test]
fn counts_become_scores() {
    let stage = stage(serde_json::json!({"entities": ["email", "iban"]}));
    let mut doc =
        Document::new(Ordinal { split: 0, record: 0 }, "x".into(), "a@example.org, b@example.org".into());
    let mut cx = Context { stage: "pii".into(), ..Context::default() };
    assert_eq!(stage.process(&mut doc, &mut cx), Outcome::Changed);
    assert_eq!(doc.text, "<EMAIL>, <EMAIL>");
    let scores = [("pii.email", 2.0), ("pii.iban", 0.0), ("pii.matches", 2.0)];
    assert_eq!(doc.scores, scores.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(stage.process(&mut doc, &mut cx), Outcome::Keep);
}

#[test]
fn hostile_texts_cost_linear_time() {
    let stage = stage(serde_json::json!({"phone_regions": ["US", "GB", "DE"]}));
    for piece in [
        "1", "1 ", "1.", "a@", "@", "a:", "::", "1:", "4111 ", "+1 ", "(2", "GB82", "x@a.", "１", "AA11 ",
        "202-555-", "tel 2",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        let start = std::time::Instant::now();
        stage.finder.find(&text);
        assert!(start.elapsed().as_secs() < 5, "{piece}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_rewritten_once(
        text in "(\\PC|[0-9.:@+()\\- ]|[a-fA-F0-9]|é|电话|４|example\\.com|@example\\.org|GB82){0,60}"
    ) {
        let stage = stage(serde_json::json!({"public_ips_only": false, "phone_regions": ["US", "GB"]}));
        let found = stage.finder.find(&text);
        proptest::prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
        proptest::prop_assert!(found.iter().all(|hit| text.get(hit.start..hit.end).is_some_and(|t| !t.is_empty())));
    }
}
