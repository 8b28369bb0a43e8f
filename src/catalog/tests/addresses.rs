//! Valid and invalid hosts, URIs and relative paths. Texts that clients read in different ways are invalid.

use super::super::address::{check_host, check_relative_path, check_uri};

#[test]
fn hosts_are_accepted_only_if_unambiguous() {
    let long = format!("{}.com", vec!["a".repeat(63); 4].join("."));
    for valid in [
        "example.com",
        "localhost",
        "a",
        "my_service.svc",
        "xn--bcher-kva.example",
        "3com.example",
        "192.0.2.7",
        "2001:db8::1",
        "::1",
        "::ffff:192.0.2.7",
        "EXAMPLE.com",
        "0xcafe.example",
    ] {
        assert_eq!(check_host(valid), Ok(()), "{valid}");
    }
    for invalid in [
        "",
        " ",
        "a b",
        " example.com",
        "example.com ",
        "ann@example.com",
        "http://example.com",
        "example.com/",
        "example.com:22",
        "[::1]",
        "fe80::1%eth0",
        "b\u{fc}cher.example",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0x7F000001",
        "0x",
        "1.2.3.4.5",
        "256.1.1.1",
        "a\0b",
        "a\nb",
        "a\\b",
        "a?b",
        "a#b",
        "*.example.com",
        "%65xample.com",
        long.as_str(),
    ] {
        assert!(check_host(invalid).is_err(), "{invalid:?}");
    }
}

#[test]
fn uris_are_accepted_only_if_unambiguous() {
    let long = format!("https://example.com/{}", "a".repeat(2048));
    for valid in [
        "https://example.com",
        "http://example.com/",
        "https://example.com:8443/a/b?c=d&e=%C3%A4",
        "https://192.0.2.7",
        "https://[2001:db8::1]",
        "https://[2001:db8::1]:8443/x",
        "HTTPS://example.com",
        "https://example.com?x=a@b",
        "https://example.com/@me:x",
    ] {
        assert_eq!(check_uri(valid, false), Ok(()), "{valid}");
    }
    for invalid in [
        "",
        "example.com",
        "/a",
        "//example.com",
        "https:example.com",
        "https:/example.com",
        "https://",
        "https:///a",
        "https://?a",
        "https://ann@example.com",
        "https://ann:pw@example.com/",
        "https://@example.com",
        "https://example.com#a",
        "https://example.com/#",
        "https://a b/",
        "https://example.com/a b",
        "https://example.com\\@evil.example/",
        "https://exa\tmple.com",
        "https://example.com/\n",
        "https://example.com/\0",
        "https://example.com/%00",
        "https://example.com/%0d%0ax",
        "https://example.com/%7f",
        "https://example.com/%",
        "https://example.com/%4",
        "https://example.com/%zz",
        "https://example.com/%+1",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:+80",
        "https://example.com:80:80",
        "https://:80",
        "https://[::1",
        "https://[::1]80",
        "https://[example.com]",
        "https://[::1%25eth0]",
        "https://::1",
        "https://127.1/",
        "https://0x7f.1/",
        "https://b\u{fc}cher.example/",
        "https://ex%61mple.com/",
        "ftp://example.com",
        "file:///etc/passwd",
        "1https://example.com",
        "://example.com",
        long.as_str(),
    ] {
        assert!(check_uri(invalid, false).is_err(), "{invalid:?}");
    }
    assert_eq!(check_uri("s3+x://bucket", true), Ok(()));
    assert!(check_uri("s 3://bucket", true).is_err());
}

#[test]
fn relative_paths_must_stay_below_their_directory() {
    let segment = "\u{e4}".repeat(120);
    for valid in ["a", "a/b c/d.csv", "...", "..a/.b", "\u{e4}\u{df}", segment.as_str()] {
        assert_eq!(check_relative_path(valid), Ok(()), "{valid}");
    }
    let too_long_segment = "a".repeat(121);
    let too_long = vec!["a".repeat(99); 5].join("/");
    for invalid in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a/..",
        "a\\b",
        "..\\a",
        "a\0b",
        "a/\n",
        "a\u{85}",
        too_long_segment.as_str(),
        too_long.as_str(),
    ] {
        assert!(check_relative_path(invalid).is_err(), "{invalid:?}");
    }
}
