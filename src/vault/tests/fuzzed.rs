//! Arbitrary and mutated envelopes, credentials and key settings.

use super::*;
use crate::fuzzing;
use crate::vault::credential;

#[test]
fn a_mutated_envelope_never_opens() {
    let vault = Vault::new(ring(&[("k0001", 1), ("k0002", 2)], None));
    let one_key = Vault::new(ring(&[("k0001", 1)], None));
    let (context, properties) = (context("acme", 7, 1), properties("a.example", 22));
    let purpose = vault.seal_purpose("one", b"content").unwrap().envelope;
    let canary = vault.make_canary("k0001").unwrap().envelope;
    let envelopes = vec![sealed(&vault).envelope, sealed(&one_key).envelope, purpose.clone(), canary.clone()];
    fuzzing::check("envelopes", 1_500, &fuzzing::bytes(envelopes.clone()), |envelope| {
        let is_credential = envelopes[..2].contains(&envelope);
        assert_eq!(opens(&vault, &context, &properties, &envelope), is_credential);
        assert_eq!(vault.open_purpose("one", &envelope).is_ok(), envelope == purpose);
        assert_eq!(vault.verify_canary("k0001", &envelope).is_ok(), envelope == canary);
        assert_eq!(vault.rewrap_purpose("one", &envelope).is_ok(), starts_like(&purpose, &envelope));
        // A changed content is noticed when the envelope is opened.
        if let Ok(rewrapped) = vault.rewrap(&context, &properties, &envelope) {
            assert_eq!(opens(&vault, &context, &properties, &rewrapped.envelope), is_credential);
        }
    });
}

/// Whether an envelope differs from another in its sealed content alone, which a rewrap does not open.
fn starts_like(original: &[u8], envelope: &[u8]) -> bool {
    // Preamble, key id, number of paths, and the key layer.
    let header = 5 + 4 + "k0002".len() + 4 + 24 + 48;
    envelope.len() >= header + 24 && envelope[..header] == original[..header]
}

#[test]
fn any_encoded_credential_is_decoded_or_refused() {
    let encoded = ["", "x", "ä\0"].map(|password| credential::encode(&super::credential(password)).unwrap().to_vec());
    fuzzing::check("encoded credentials", 2_000, &fuzzing::bytes(encoded.to_vec()), |bytes| {
        if let Ok(decoded) = credential::decode(&bytes) {
            let again = credential::encode(&decoded).unwrap();
            assert!(credential::decode(&again).is_ok_and(|decoded| decoded.fields.len() <= bytes.len() / 8));
        }
    });
}

#[test]
fn any_setting_of_keys_is_a_ring_or_an_error() {
    let settings = [format!("k0001={},k0002={}", key(1), key(2)), format!("a.b_c:d-e = {}", key(3))];
    fuzzing::check("keys", 2_000, &fuzzing::text(&settings), |setting| {
        for primary in [None, Some("k0001")] {
            if let Ok(ring) = KeyRing::from_setting(&Secret::new(setting.clone()), primary, "OUTFLOW_KEYS") {
                assert!(ring.get(ring.primary()).is_some());
            }
        }
    });
}
