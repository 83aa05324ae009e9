//! The stores of this process, each opened once: one for every bucket, container or host.

use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::polite::Connector;

/// Where machines of Amazon's ask for credentials.
const INSTANCE_METADATA: &str = "http://169.254.169.254";

/// What stands between `://` and the key.
pub(super) fn place(scheme: &str) -> &'static str {
    match scheme {
        "s3" | "gs" => "bucket",
        "az" => "container",
        _ => "host",
    }
}

/// The store of a bucket or host.
///
/// # Errors
/// What is wrong with the environment.
pub(super) fn open(scheme: &str, host: &str) -> Result<Arc<dyn ObjectStore>, String> {
    static STORES: Mutex<BTreeMap<(String, String), Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());
    let mut stores = STORES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = (scheme.to_owned(), host.to_owned());
    if let Some(store) = stores.get(&name) {
        return Ok(Arc::clone(store));
    }
    let store = make(scheme, host)?;
    stores.insert(name, Arc::clone(&store));
    Ok(store)
}

fn make(scheme: &str, host: &str) -> Result<Arc<dyn ObjectStore>, String> {
    // `Location::retry` repeats what fails, with one account of time for all that belongs together.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let options = ClientOptions::new().with_allow_http(true);
    let fail = |error: object_store::Error| error.to_string();
    match scheme {
        "s3" => {
            let builder = AmazonS3Builder::from_env()
                .with_bucket_name(host)
                .with_retry(retry)
                .with_client_options(options)
                .with_http_connector(Connector);
            check_s3(&builder)?;
            Ok(Arc::new(builder.build().map_err(fail)?))
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(host)
                .with_retry(retry)
                .with_client_options(options)
                .with_http_connector(Connector);
            Ok(Arc::new(builder.build().map_err(fail)?))
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(host)
                .with_retry(retry)
                .with_client_options(options)
                .with_http_connector(Connector);
            Ok(Arc::new(builder.build().map_err(fail)?))
        }
        _ => {
            let builder = HttpBuilder::new()
                .with_url(format!("{scheme}://{host}"))
                .with_retry(retry)
                .with_client_options(options)
                .with_http_connector(Connector);
            Ok(Arc::new(builder.build().map_err(fail)?))
        }
    }
}

/// Without credentials in the environment the crate asks the machine's metadata service, and waits for long where there is none.
fn check_s3(builder: &AmazonS3Builder) -> Result<(), String> {
    let told = |key| builder.get_config_value(&key).is_some();
    let known = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ];
    let anonymous = builder
        .get_config_value(&AmazonS3ConfigKey::SkipSignature)
        .is_some_and(|value| matches!(value.as_str(), "true" | "1" | "yes" | "on"));
    if anonymous || known.into_iter().any(told) {
        return Ok(());
    }
    let service = builder.get_config_value(&AmazonS3ConfigKey::MetadataEndpoint);
    let service = service.unwrap_or_else(|| INSTANCE_METADATA.to_owned());
    let address = service.trim_start_matches("http://").trim_end_matches('/');
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    let answers = address.to_socket_addrs().is_ok_and(|mut addresses| {
        addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    });
    if answers {
        return Ok(());
    }
    Err("there are no credentials\n = hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION; for another server than Amazon's AWS_ENDPOINT_URL), or AWS_SKIP_SIGNATURE=true for a public bucket".to_owned())
}
