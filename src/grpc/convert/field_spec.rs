//! Fields of connection types as messages.

use super::values::json_to_proto;
use crate::catalog::{AllowedValue, Condition, FieldSpec, Format, Pattern, ValueType};
use crate::grpc::proto as pb;

/// A field of a connection type.
pub fn field(spec: &FieldSpec) -> pb::FieldSpec {
    let text = |of: fn(&Pattern) -> &str| spec.pattern.as_ref().map(of).unwrap_or_default().to_owned();
    pb::FieldSpec {
        key: spec.key.clone(),
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        value_type: value_type(spec.value_type).into(),
        required: spec.required,
        binding: spec.binding,
        pattern: text(Pattern::as_str),
        allowed_values: spec.allowed_values.iter().map(allowed_value).collect(),
        default_value: spec.default_value.clone().map(json_to_proto),
        minimum: spec.minimum,
        maximum: spec.maximum,
        format: spec.format.map_or(pb::field_spec::Format::Unspecified, format).into(),
        hint: text(Pattern::hint),
        group: spec.group.clone(),
        example: spec.example.clone().map(json_to_proto),
        shown_if: spec.shown_if.as_ref().map(condition),
        required_if: spec.required_if.as_ref().map(condition),
    }
}

fn value_type(value_type: ValueType) -> pb::field_spec::ValueType {
    use pb::field_spec::ValueType as Wire;
    match value_type {
        ValueType::String => Wire::String,
        ValueType::Integer => Wire::Integer,
        ValueType::Double => Wire::Double,
        ValueType::Bool => Wire::Bool,
        ValueType::Enum => Wire::Enum,
        ValueType::StringList => Wire::StringList,
        ValueType::Uri => Wire::Uri,
        ValueType::Host => Wire::Host,
        ValueType::Port => Wire::Port,
    }
}

fn format(format: Format) -> pb::field_spec::Format {
    use pb::field_spec::Format as Wire;
    match format {
        Format::SshHostKey => Wire::SshHostKey,
        Format::SshPrivateKey => Wire::SshPrivateKey,
        Format::PemCertificates => Wire::PemCertificates,
        Format::PemPrivateKey => Wire::PemPrivateKey,
        Format::Guid => Wire::Guid,
        Format::S3Bucket => Wire::S3Bucket,
        Format::S3Endpoint => Wire::S3Endpoint,
        Format::S3Region => Wire::S3Region,
        Format::AwsAccessKeyId => Wire::AwsAccessKeyId,
        Format::AwsSecretAccessKey => Wire::AwsSecretAccessKey,
        Format::AzureBlobEndpoint => Wire::AzureBlobEndpoint,
        Format::AzureStorageAccount => Wire::AzureStorageAccount,
        Format::AzureContainer => Wire::AzureContainer,
        Format::AzureStorageAccountKey => Wire::AzureStorageAccountKey,
        Format::AzureSasToken => Wire::AzureSasToken,
        Format::EntraTenant => Wire::EntraTenant,
        Format::EntraClientSecret => Wire::EntraClientSecret,
        Format::GcsEndpoint => Wire::GcsEndpoint,
        Format::GcsBucket => Wire::GcsBucket,
        Format::GcsServiceAccountKey => Wire::GcsServiceAccountKey,
        Format::KafkaBootstrapServer => Wire::KafkaBootstrapServer,
        Format::KafkaTopic => Wire::KafkaTopic,
        Format::BearerToken => Wire::BearerToken,
        Format::WebhookSigningSecret => Wire::WebhookSigningSecret,
        Format::AwsSessionToken => Wire::AwsSessionToken,
        Format::PayloadField => Wire::PayloadField,
    }
}

fn allowed_value(allowed: &AllowedValue) -> pb::field_spec::AllowedValue {
    pb::field_spec::AllowedValue { value: allowed.value.clone(), display_name: allowed.display_name.clone() }
}

fn condition(condition: &Condition) -> pb::field_spec::Condition {
    pb::field_spec::Condition {
        key: condition.key.clone(),
        values: condition.values.iter().cloned().map(json_to_proto).collect(),
    }
}
