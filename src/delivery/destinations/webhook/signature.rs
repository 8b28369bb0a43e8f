//! Signs requests as the Standard Webhooks specification says: HMAC-SHA256 with a symmetric secret, version `v1`.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::delivery::DeliveryError;
use crate::model::{FailureCode, Secret};

/// Secrets come with and without padding. Other libraries ignore the unused bits of the last character.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Signs with one secret. It has no `Debug`, and its memory is zeroed on drop.
pub(super) struct Signer(Zeroizing<Vec<u8>>);

impl Signer {
    /// Parses a secret of the form `whsec_…`.
    pub(super) fn new(secret: &Secret) -> Result<Self, DeliveryError> {
        let key = secret.expose().strip_prefix("whsec_").and_then(|encoded| SECRET_BASE64.decode(encoded).ok());
        match key {
            Some(key) if !key.is_empty() => Ok(Self(Zeroizing::new(key))),
            _ => Err(DeliveryError::new(
                FailureCode::CredentialRequired,
                "the signing secret is not whsec_ followed by base64",
            )),
        }
    }

    /// The value of the header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String, DeliveryError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "the key of the signature", error))?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Ok(format!("v1,{}", SECRET_BASE64.encode(mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the libraries of Standard Webhooks.
    #[test]
    fn a_signature_equals_the_published_example() {
        let signer = Signer::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into())).unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_accepted_with_and_without_padding_only_in_their_form() {
        for good in ["whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgIQ==", "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgIQ"] {
            assert!(Signer::new(&Secret::new(good.into())).is_ok(), "{good}");
        }
        for bad in ["", "whsec_", "c2VjcmV0", "whsec_c2V*cmV0"] {
            let error = Signer::new(&Secret::new(bad.into())).err().expect("an error");
            assert_eq!(error.code, FailureCode::CredentialRequired);
            assert!(bad.is_empty() || !error.detail.contains(bad) || bad == "whsec_", "{}", error.detail);
        }
    }
}
