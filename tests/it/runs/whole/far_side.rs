//! What the tests know of a destination: how to connect to it, and what is visible there.

use async_trait::async_trait;
use outflow::delivery::destinations::Target;
use serde_json::{Map, Value};

use super::content::{Expected, Shape};

/// A connection and its credential.
#[derive(Clone)]
#[expect(clippy::struct_field_names, reason = "the name of the field in the API")]
pub struct Connection {
    /// Id of its type.
    pub connection_type: &'static str,
    /// Its properties.
    pub properties: Map<String, Value>,
    /// The auth method and the fields of the credential; `None` if the type has none.
    pub credential: Option<(String, Vec<(String, String)>)>,
}

impl Connection {
    /// The connection of a target.
    pub fn of(connection_type: &'static str, target: &Target) -> Self {
        let credential = target.credential.as_ref().map(|credential| {
            let fields = credential.fields.iter().map(|(key, value)| (key.clone(), value.expose().to_owned()));
            (credential.auth_method.clone(), fields.collect())
        });
        Self { connection_type, properties: target.properties.clone(), credential }
    }
}

/// A point of a delivery.
#[derive(Clone, Copy, Debug)]
pub enum Point {
    /// After this share of it.
    Anywhere(f64),
    /// At its end, after this share of the commit.
    Commit(f64),
}

/// Tells when a delivery has reached a point.
#[async_trait]
pub trait Interruption: Send + Sync {
    /// Counts from 0. From now on, [`Self::reached`] waits for the point in a delivery of `total` bytes; without a point it
    /// waits for ever.
    fn arm(&self, point: Option<Point>, total: u64);

    /// Waits until the point is reached. As far as possible, the delivery makes no progress then.
    async fn reached(&self);

    /// Ends what is held, and lets later deliveries pass.
    fn release(&self);

    /// Lets what is held go on.
    fn resume(&self);

    /// The bytes since the count began; `None` if they are those of the files.
    fn counted(&self) -> Option<u64>;
}

/// The far side of deliveries to one type of destination. An area is where the results of one export are: a folder, or a
/// table.
#[async_trait]
pub trait FarSide: Send + Sync {
    /// The connection to create for it.
    fn connection(&self) -> Connection;

    /// The tables of an export.
    fn tables(&self, shape: Shape) -> &'static [&'static str];

    /// The settings of an export.
    fn settings(&self, shape: Shape, area: &str) -> Value;

    /// Certificates of the authorities that a client has to trust, in PEM.
    fn authorities(&self) -> String {
        String::new()
    }

    /// What interrupts deliveries.
    fn interruption(&self) -> &dyn Interruption;

    /// Prepares an area for a run.
    async fn prepare(&self, _shape: Shape, _area: &str) {}

    /// Looks at what is visible. Panics if that is neither what was there before the run nor its complete result. Returns
    /// whether it is the complete result.
    async fn observe(&self, area: &str, expected: &Expected) -> bool;

    /// Panics unless the result of the run is there exactly once, and nothing else of it.
    async fn assert_delivered(&self, area: &str, expected: &Expected);

    /// What is in an area: paths, ids or numbers of rows. Nothing, if no run has delivered.
    async fn list(&self, area: &str) -> Vec<String>;

    /// How many uploads there are that are not complete.
    async fn uploads(&self, _area: &str) -> usize {
        0
    }
}
