//! Which names are secret, and what of a text is left once its secrets are masked.

use proptest::prelude::*;

use super::*;

#[test]
fn names_of_secrets_are_recognised_in_any_spelling() {
    let rule = MaskRule::default();
    for name in [
        "password",
        "newPassword",
        "PASSWORD",
        "client_secret",
        "clientSecret",
        "clientsecret",
        "access_token",
        "refreshToken",
        "Authorization",
        "Set-Cookie",
        "otp",
        "otpCode",
        "private_key",
        "privateKey",
        "x-api-key",
        "apiKey",
        "password1",
        "JWTToken",
        "user.password",
        "recovery_codes",
        "password_hash",
        "secretKey",
        "apiKeys",
        "api_keys",
        "apikeys",
        "accessKeys",
        "privateKeys",
        "backup_code",
        "authtoken",
        "sessiontoken",
        "csrftoken",
        "xsrfTokens",
        "bearer",
        "auth_key",
        "hmac_key",
        "enc_key",
        "otpcode",
        "pincode",
        "userpin",
        "mfa_code",
        "security_answer",
        "code_verifier",
        "SAMLResponse",
        "pass",
        "db_pass",
        "userPass",
        "reset_password_url",
        "passwordResetUrl",
        "verification_url",
        "emailVerificationLink",
        "password_reset_uri",
    ] {
        assert_eq!(rule.judge(name), Secrecy::Whole, "{name}");
    }
}

#[test]
fn the_quick_look_lets_no_secret_name_pass() {
    let words = SECRET_WORDS.iter().chain(&SECRET_PIECES).map(ToString::to_string);
    let pairs = SECRET_PAIRS.iter().map(|(a, b)| format!("{a}_{b}"));
    let endings = SECRET_ENDINGS.iter().map(|ending| format!("x{ending}"));
    let links =
        LINK_WORDS.iter().flat_map(|link| TICKET_WORDS.iter().map(move |ticket| format!("{ticket}_{link}")));
    for name in words.chain(pairs).chain(endings).chain(links) {
        assert!(MaskRule::default().is_secret(&name.to_uppercase()), "{name}");
    }
}

#[test]
fn names_that_only_describe_a_secret_are_kept() {
    let rule = MaskRule::default();
    for name in [
        "email",
        "token_lifetime",
        "token_endpoint_auth_method",
        "passwordPolicy",
        "type",
        "author",
        "city",
        "pinned",
        "tokenType",
        "keyboard",
        "code",
        "spinner",
        "bypass",
        "passenger",
        "tokenized",
        "access_token_jti",
        "token_url",
        "authorization_uri",
        "picture_url",
        "link",
        "passwordCount",
        "shipping",
        "monkey",
        "id_token_signed_response_algs",
    ] {
        assert_eq!(rule.judge(name), Secrecy::Open, "{name}");
    }
    // Contains "secret" in one piece: masked rather than risked.
    assert!(rule.is_secret("secretary"));
}

#[test]
fn names_of_changes_hide_texts_only() {
    let rule = MaskRule::default();
    for name in ["passwordUpdate", "password_reset", "credential_set", "last_password_reset", "secretChange"]
    {
        assert_eq!(rule.judge(name), Secrecy::Texts, "{name}");
    }
    for name in ["settings_update", "reset", "page_set"] {
        assert_eq!(rule.judge(name), Secrecy::Open, "{name}");
    }
    assert_eq!(
        rule.text("last_password_reset=2026-01-31T12:00:00Z&password_reset=hunter2&password_update=true"),
        "last_password_reset=2026-01-31T12:00:00Z&password_reset=[masked]&password_update=true"
    );
}

#[test]
fn an_installation_adds_names_of_its_own_and_a_platform_knows_better() {
    let rule = MaskRule::with(["Tax-Number".to_owned()]);
    assert!(rule.is_secret("tax_number"));
    assert!(rule.is_secret("taxNumber"));
    assert!(!MaskRule::default().is_secret("taxNumber"));
    assert_eq!(rule.text("my tax number: 17"), "my tax number: [masked]");

    let platform = rule.except(["credential_id".to_owned()]).facts_of("refresh_token", &["session_id"]);
    assert_eq!(platform.judge("credentialId"), Secrecy::Open);
    assert_eq!(platform.judge("refresh_token"), Secrecy::Whole);
    assert_eq!(platform.facts("refreshToken"), Some(["session_id"].as_slice()));
    assert_eq!(platform.facts("token"), Some(["iss", "sub"].as_slice()));
    assert_eq!(platform.facts("secret"), None);
    let stricter = platform.and(["credential_id", "refresh_token", "token"].map(str::to_owned));
    assert_eq!(stricter.judge("credential_id"), Secrecy::Whole);
    assert_eq!((stricter.facts("refresh_token"), stricter.facts("token")), (None, None));
}

#[test]
fn the_steps_of_a_path_are_judged_one_by_one() {
    let rule = MaskRule::default();
    for path in [
        "/password",
        "/auth/client_secret/0",
        "urn:ietf:params:scim:schemas:core:2.0:User:password",
        "user.password",
        "secrets[0].value",
    ] {
        assert_eq!(rule.judge_path(path), Secrecy::Whole, "{path}");
    }
    assert_eq!(rule.judge_path("/passwordReset/0"), Secrecy::Texts);
    assert_eq!(rule.judge_path("/password_policy/length"), Secrecy::Open);
}

#[test]
fn most_texts_are_plain_at_a_glance() {
    for text in [
        "2026-01-31T12:00:00.000Z",
        "success:login",
        "failure:password_authentication",
        "2001:db8::1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101",
        "token:refresh",
        "ann@example.com",
    ] {
        assert!(is_plain(text), "{text}");
    }
    for text in ["a=1", "\"x\"", "Cookie:x", "a: b", "https://h", "%3D", "\"a\":1"] {
        assert!(!is_plain(text), "{text}");
    }
}

fn masked(text: &str) -> String {
    MaskRule::default().text(text).into_owned()
}

#[test]
fn forms_and_urls_lose_their_secrets_and_nothing_else() {
    for (text, expected) in [
        ("user=ann&password=hunter2&x=1", "user=ann&password=[masked]&x=1"),
        ("pass%77ord=hunter2", "pass%77ord=[masked]"),
        ("user[password]=hunter2&user[name]=ann", "user[password]=[masked]&user[name]=ann"),
        (
            "https://h/cb?code=1&id_token=abc#access_token=s",
            "https://h/cb?code=1&id_token=[masked]#access_token=[masked]",
        ),
        ("https://ann:pw@h/p?x=1", "https://ann:[masked]@h/p?x=1"),
        ("https://h/a?x=https://b/?token=s&y=1", "https://h/a?x=https://b/?token=[masked]&y=1"),
        ("to=https%3A%2F%2Fb%2F%3Fa%3D1%26id_token%3Ds", "to=[masked]"),
        ("to=https%253A%252F%252Fb%253Fid_token%253Ds&a=1", "to=[masked]&a=1"),
        (
            "redirect_uri=https://app/cb&client_secret=s3cr3t",
            "redirect_uri=https://app/cb&client_secret=[masked]",
        ),
        (
            "client_secret=s&redirect_uri=https://app/cb?x=1",
            "client_secret=[masked]&redirect_uri=https://app/cb?x=1",
        ),
        ("see https://a/ and https://ann:pw@h/", "see https://a/ and https://ann:[masked]@h/"),
        ("https://user:pa/ss@h", "https://user:[masked]@h"),
        ("https://user:p@ss@h/x@y", "https://user:[masked]@h/x@y"),
        ("q=%7B%22password%22%3A%22x%22%7D", "q=[masked]"),
        ("%7B%22password%22:%22x,y%22%7D", "[masked]"),
    ] {
        assert_eq!(masked(text), expected);
    }
    for text in [
        "/api/v2/clients?page=1",
        "to=https%3A%2F%2Fb%2F%3Fa%3D1",
        "https://h:8443/users/ann@example.com?x=1",
        "https://[2001:db8::1]:443/a@b",
        "mailto:ann@example.com",
        "/api/v2/users/auth0%7C1?q=100%25",
        "cn=ann,ou=token service",
        "cn=ann,ou=token service,dc=example",
        "grant_type=refresh_token&response_type=token",
        "urn:ietf:params:oauth:token-type:access_token",
        "arn:aws:secretsmanager:eu-west-1:1:secret:x",
        "token:refresh",
        "success:password_authentication",
        "2026-01-31T12:00:00Z",
        "password=&x=1",
        "no secret at all",
    ] {
        assert!(matches!(MaskRule::default().text(text), Cow::Borrowed(_)), "{text}: {}", masked(text));
    }
}

#[test]
fn a_secret_is_found_anywhere_in_a_text_and_the_rest_stays() {
    for (text, expected) in [
        ("POST https://h/login password=hunter2", "POST https://h/login password=[masked]"),
        ("/login password=hunter2", "/login password=[masked]"),
        ("App/1.0 (pin=5; x)", "App/1.0 (pin=[masked]; x)"),
        ("App/1.0 (pin=5)", "App/1.0 (pin=[masked])"),
        ("user=ann password=correct horse battery result=ok", "user=ann password=[masked] result=ok"),
        ("user=ann, pin=1, result=ok", "user=ann, pin=[masked], result=ok"),
        ("user=ann,pin=1,result=ok", "user=ann,pin=[masked],result=ok"),
        ("level=info password=\"a b\" x=1", "level=info password=\"[masked]\" x=1"),
        ("password = hunter2", "password = [masked]"),
        ("api key=abc", "api key=[masked]"),
        ("Authorization: Bearer x", "Authorization: [masked]"),
        (
            "GET / HTTP/1.1\r\nCookie: a=1; b=2\r\nAccept: */*",
            "GET / HTTP/1.1\r\nCookie: [masked]\r\nAccept: */*",
        ),
        ("Authorization:Bearer x", "Authorization:[masked]"),
        ("curl -H \"Authorization: Bearer x\" https://h/", "curl -H \"Authorization: [masked]\" https://h/"),
        ("failed for ann, password: hunter2", "failed for ann, password: [masked]"),
        ("{password: \"hunter2\", a: 1}", "{password: \"[masked]\", a: 1}"),
        ("{'password': 'x', 'a': 'b'}", "{'password': '[masked]', 'a': 'b'}"),
        ("{'password': 'don't', 'a': 'b'}", "{'password': '[masked]', 'a': 'b'}"),
        ("body: {\"password\" : \"x\"} and more", "body: {\"password\" : \"[masked]\"} and more"),
        (
            "{\\\"password\\\":\\\"x\\\\\\\"y\\\",\\\"a\\\":1}",
            "{\\\"password\\\":\\\"[masked]\\\",\\\"a\\\":1}",
        ),
        ("{\\\"password\\\":\\\"x", "{\\\"password\\\":\\\"[masked]"),
        ("\"a\",\"otp\":123456,\"b\":1", "\"a\",\"otp\":[masked],\"b\":1"),
        ("\"credentials\":{\"jti\":\"x\"}", "\"credentials\":[masked]"),
        ("{\"password\":\"x\",\"a\":", "{\"password\":\"[masked]\",\"a\":"),
        ("{\"a\":\"user=x&password=y\",\"b\":1", "{\"a\":\"user=x&password=[masked]\",\"b\":1"),
    ] {
        assert_eq!(masked(text), expected);
        assert_eq!(masked(expected), expected, "stable");
    }
    for text in [
        "{\"a\":\"password\",\"b\":",
        "say \"password\" now",
        "\"",
        "",
        "\"otp\":null,\"token\": true",
        "{password: null, user: \"ann\"}",
        "std::token::next",
    ] {
        assert!(matches!(MaskRule::default().text(text), Cow::Borrowed(_)), "{text}: {}", masked(text));
    }
}

/// Runs in a thread with a stack of 256 KiB: an overflow would end the test run.
fn on_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap()
}

#[test]
fn no_text_costs_a_deep_stack_or_quadratic_time() {
    let encoded = (0..12).fold("password=x".to_owned(), |text, _| format!("a={}", percent_encoded(&text)));
    for text in [
        "=".repeat(300_000),
        ":".repeat(300_000),
        "%3D".repeat(100_000),
        "a=".repeat(150_000),
        "a%3D".repeat(75_000),
        "password=".repeat(33_000),
        "password=,".repeat(30_000),
        "password= ".repeat(30_000),
        "\"password\":".repeat(27_000),
        "https://a?b=".repeat(25_000),
        "https://a:b".repeat(27_000),
        "https://a:b/".repeat(25_000),
        "x://".repeat(75_000),
        "\\\"".repeat(150_000),
        "'a':'".repeat(60_000),
        "%2525252525".repeat(27_000),
        encoded,
    ] {
        let shown = text.get(..20).unwrap_or(&text).to_owned();
        let length = on_a_small_stack(move || MaskRule::default().text(&text).len());
        assert!(length < 400_000, "{shown}");
    }
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

#[test]
fn a_secret_that_is_encoded_time_and_again_does_not_show() {
    let mut text = "password=x".to_owned();
    for nesting in 0..7 {
        assert!(!masked(&text).ends_with(&text), "{nesting}");
        text = format!("a={}", percent_encoded(&text));
        text.truncate(100_000);
        assert_eq!(masked(&text), "a=[masked]", "{nesting}");
    }
}

proptest! {
    #[test]
    fn masking_never_panics(
        text in "(password|token|a|=|:|%3D|%22|&|;|,| |\"|'|\\\\|://|@|/|\\{|\\}|\\[|\\]|x|\n|é|\\[masked\\]){0,40}",
    ) {
        let rule = MaskRule::default();
        let _ = (rule.is_secret(&text), rule.judge_path(&text), rule.text(&text));
    }

    #[test]
    fn masking_is_stable(
        text in prop_oneof![".*", "(password=|token: |a=|&|; |, | |\"password\":|\"|://|@|/|\\{|\\}|x|\n|é|\\[masked\\]){0,20}"],
    ) {
        let rule = MaskRule::default();
        let once = rule.text(&text).into_owned();
        prop_assert_eq!(rule.text(&once).into_owned(), once);
        prop_assert!(!is_plain(&text) || matches!(rule.text(&text), Cow::Borrowed(_)));
    }

    #[test]
    fn a_secret_in_a_form_never_stays(value in "[A-Za-z0-9]{8}", before in "[a-z=& ,;:\"/?{}%0-9]{0,30}", after in ".*") {
        let text = format!("{before}&password=CANARY{value}&{after}");
        prop_assert!(!masked(&text).contains("CANARY"), "{}", masked(&text));
    }
}
