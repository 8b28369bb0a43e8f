//! Translates errors of object stores. Texts of the far side never become part of an error, except codes of the lists
//! below.

use std::error::Error;
use std::iter;

use object_store::client::HttpError;

use crate::delivery::DeliveryError;
use crate::dialer::DialError;
use crate::model::FailureCode;

/// Error codes in responses of Amazon S3, Azure Blob Storage, Google Cloud Storage and MinIO.
const CODES: &[(FailureCode, &[&str])] = &[
    (
        FailureCode::AuthenticationFailed,
        &[
            "AuthenticationFailed",
            "AuthenticationRequired",
            "ExpiredToken",
            "InvalidAccessKeyId",
            "InvalidAuthenticationInfo",
            "InvalidSecurity",
            "InvalidToken",
            "NoAuthenticationInformation",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
        ],
    ),
    (
        FailureCode::DestinationDenied,
        &[
            "AccessDenied",
            "AccountIsDisabled",
            "AccountProblem",
            "AllAccessDisabled",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "AuthorizationProtocolMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationSourceIPMismatch",
            "InsufficientAccountPermissions",
            "UserProjectAccountProblem",
        ],
    ),
    (FailureCode::DestinationFull, &["QuotaExceeded", "XMinioStorageFull", "XMinioStorageQuotaExceeded"]),
    (
        FailureCode::DestinationThrottled,
        &["RequestLimitExceeded", "ServerBusy", "ServiceUnavailable", "SlowDown", "TooManyRequests"],
    ),
    // A lifecycle rule of the bucket, or an attempt that followed after the lease was lost, removed an upload.
    (FailureCode::DestinationUnreachable, &["InternalError", "NoSuchUpload", "OperationTimedOut", "RequestTimeout"]),
    (
        FailureCode::DestinationRefused,
        &[
            "AccessTierNotSupportedForBlobType",
            "AuthorizationHeaderMalformed",
            "BlobImmutableDueToPolicy",
            "ContainerBeingDeleted",
            "ContainerNotFound",
            "EntityTooLarge",
            "IllegalLocationConstraintException",
            "InvalidBlockList",
            "InvalidBucketName",
            "InvalidPart",
            "InvalidRequest",
            "InvalidStorageClass",
            "KeyTooLongError",
            "MethodNotAllowed",
            "NoSuchBucket",
            "NotImplemented",
            "PermanentRedirect",
            "TemporaryRedirect",
            "UnauthorizedBlobOverwrite",
        ],
    ),
];

/// A response that is an error.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    code: Option<&'static str>,
    /// Whether it is the response of the service that issues tokens.
    to_token_request: bool,
}

/// The failure that an error is. `doing` begins the detail, such as `put exports/a.csv`.
pub(super) fn failure(doing: &str, error: &object_store::Error) -> DeliveryError {
    if let Some(response) = response(error) {
        let code = response.code.unwrap_or("without a known error code");
        let from = if response.to_token_request { "token service, " } else { "" };
        return DeliveryError::new(
            response.failure_code(),
            format!("{doing}: {from}status {} {code}", response.status),
        );
    }
    if let Some(error) = DialError::find(error) {
        return DeliveryError::with(error.code(), doing, error);
    }
    if let Some(error) = causes(error).find_map(<dyn Error>::downcast_ref::<HttpError>) {
        let detail = format!("{doing}: the connection failed: {:?}", error.kind());
        return DeliveryError::new(FailureCode::DestinationUnreachable, detail);
    }
    DeliveryError::new(FailureCode::DestinationRefused, format!("{doing}: the response is not understood"))
}

/// Whether the object does not exist, while its bucket or container does as far as the response tells.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    let absent = matches!(error, object_store::Error::NotFound { .. });
    absent && response(error).is_none_or(|response| response.code.is_none())
}

/// Whether the store does not implement what was requested.
pub(super) fn is_not_implemented(error: &object_store::Error) -> bool {
    response(error).is_some_and(|response| response.status == 501)
}

impl Response {
    fn failure_code(&self) -> FailureCode {
        if self.to_token_request && (400..=403).contains(&self.status) {
            return FailureCode::AuthenticationFailed;
        }
        let known = CODES.iter().find(|(_, codes)| self.code.is_some_and(|code| codes.contains(&code)));
        match (known, self.status) {
            (Some((code, _)), _) => *code,
            (None, 401) => FailureCode::AuthenticationFailed,
            (None, 403) => FailureCode::DestinationDenied,
            (None, 429 | 503) => FailureCode::DestinationThrottled,
            (None, 507) => FailureCode::DestinationFull,
            (None, 501) => FailureCode::DestinationRefused,
            (None, 200 | 408 | 500..) => FailureCode::DestinationUnreachable,
            (None, _) => FailureCode::DestinationRefused,
        }
    }
}

/// The response in an error of `object_store`. Its type is private, so it is read from the beginning of its text.
fn response(error: &object_store::Error) -> Option<Response> {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let to_token_request = texts.iter().any(|text| text.starts_with("Error performing token request"));
    texts.iter().find_map(|text| {
        let (status, body) = read_response(text)?;
        Some(Response { status, code: error_code(body), to_token_request })
    })
}

fn read_response(text: &str) -> Option<(u16, &str)> {
    if text.starts_with("Received redirect without LOCATION") {
        return Some((301, ""));
    }
    if let Some(body) = text.strip_prefix("Server returned error response: ") {
        return Some((200, body));
    }
    let response = text.strip_prefix("Server returned non-2xx status code: ")?;
    Some((response.get(..3)?.parse().ok()?, response))
}

/// The error code of a body, if it is one of the list.
fn error_code(body: &str) -> Option<&'static str> {
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    CODES.iter().flat_map(|(_, codes)| codes.iter()).find(|known| **known == code.trim()).copied()
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpErrorKind;

    use super::*;

    #[test]
    fn responses_are_read_without_the_text_of_the_far_side() {
        let body = "<Error><Code>SlowDown</Code><Message>secret</Message></Error>";
        let text = format!("Server returned non-2xx status code: 503 Service Unavailable: {body}");
        assert_eq!(
            read_response(&text).map(|(status, body)| (status, error_code(body))),
            Some((503, Some("SlowDown")))
        );
        assert_eq!(error_code("<Error><Code>DROP TABLE</Code></Error>"), None);
        assert_eq!(read_response("Generic S3 error: Server returned non-2xx status code: 403"), None);
    }

    #[test]
    fn every_status_has_a_failure_code() {
        let code = |status, code| Response { status, code, to_token_request: false }.failure_code();
        assert_eq!(code(403, Some("SignatureDoesNotMatch")), FailureCode::AuthenticationFailed);
        assert_eq!(code(403, Some("AccessDenied")), FailureCode::DestinationDenied);
        assert_eq!(code(403, None), FailureCode::DestinationDenied);
        assert_eq!(code(404, Some("NoSuchBucket")), FailureCode::DestinationRefused);
        assert_eq!(code(404, Some("NoSuchUpload")), FailureCode::DestinationUnreachable);
        assert_eq!(code(429, None), FailureCode::DestinationThrottled);
        assert_eq!(code(500, None), FailureCode::DestinationUnreachable);
        assert_eq!(code(503, None), FailureCode::DestinationThrottled);
        assert_eq!(code(507, None), FailureCode::DestinationFull);
        assert_eq!(code(200, Some("InternalError")), FailureCode::DestinationUnreachable);
        let token = Response { status: 400, code: None, to_token_request: true };
        assert_eq!(token.failure_code(), FailureCode::AuthenticationFailed);
    }

    #[test]
    fn errors_of_the_dialer_keep_their_codes() {
        let source = HttpError::new(HttpErrorKind::Unknown, DialError::Forbidden { host: "example.com".into() });
        let error = object_store::Error::Generic { store: "S3", source: Box::new(source) };
        let failure = failure("put a", &error);
        assert_eq!(failure.code, FailureCode::AddressForbidden);
        assert!(failure.detail.starts_with("put a: "), "{failure}");
    }
}
