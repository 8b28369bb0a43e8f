//! Fuzzing of parsers in unit tests: arbitrary input, and mutations of valid input, which get further.
//!
//! The input is determined by a seed. A failure prints the seed and the smallest input that was found: `TEST_SEED=7` repeats
//! it. `TEST_FULL` multiplies the number of cases by 10, and `TEST_SEED=7 TEST_FULL=1` repeats a failure of such a run.

use std::fmt::Debug;
use std::io::Write as _;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use serde_json::{Map, Number, Value, json};

/// How many times as many cases a full run has.
const FULL_RUN_FACTOR: u32 = 10;
/// Maximum number of mutations of an input.
const MAX_MUTATIONS: usize = 6;
/// Maximum number of bytes or characters of an arbitrary input, and of what is inserted.
const MAX_LENGTH: usize = 64;

/// Fragments that parsers often get wrong.
const FRAGMENTS: [&str; 36] = [
    "",
    " ",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[31m",
    "\u{2028}",
    "\u{202e}",
    "ä",
    "🦀",
    "\u{301}",
    "\u{feff}",
    "%00",
    "%",
    "{",
    "}",
    "[[",
    "]]",
    "\"",
    "'",
    "\\",
    "/",
    "..",
    ".",
    ",",
    "-",
    "#",
    "=",
    "0",
    "-1",
    "1e999",
    "nan",
    "99999999999999999999999",
    "-9223372036854775808",
    "true",
];

/// Runs a test for a number of inputs. A panic is a failure.
pub fn check<S: Strategy>(name: &str, cases: u32, input: &S, test: impl Fn(S::Value)) {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let is_full = std::env::var_os("TEST_FULL").is_some();
    let cases = if is_full { cases.saturating_mul(FULL_RUN_FACTOR) } else { cases };
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let start = Instant::now();
    let result = TestRunner::new(config).run(input, |input| {
        test(input);
        Ok::<(), TestCaseError>(())
    });
    if let Err(error) = result {
        panic!("TEST_SEED={seed}{}: {name}: {error}", if is_full { " TEST_FULL=1" } else { "" });
    }
    // The test harness captures what `eprintln!` prints in passing tests.
    let line = format!("fuzz {name}: {cases} cases in {:.1} s, 0 bad", start.elapsed().as_secs_f64());
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// Arbitrary bytes, and more often mutations of samples.
pub fn bytes(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => vec(any::<u8>(), 0..MAX_LENGTH), 9 => mutated(select(samples.clone()), samples)]
}

/// Arbitrary texts, and more often mutations of samples. What is no UTF-8 after a mutation is replaced.
pub fn text<T: AsRef<str>>(samples: &[T]) -> impl Strategy<Value = String> + use<T> {
    let samples = samples.iter().map(|sample| sample.as_ref().as_bytes().to_vec()).collect();
    let fragments = vec(select(&FRAGMENTS[..]), 0..8).prop_map(|fragments| fragments.concat());
    let arbitrary = vec(any::<char>(), 0..MAX_LENGTH).prop_map(String::from_iter);
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    prop_oneof![1 => arbitrary, 1 => fragments, 8 => bytes(samples).prop_map(lossy)]
}

/// Objects with some of the keys, and values of any type: often texts that are mutations of samples.
pub fn object(keys: Vec<String>, samples: &[&str]) -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        6 => text(samples).prop_map(Value::from),
        2 => select(vec![-1, 0, 1, 22, 5_432, 65_536, i64::MIN, i64::MAX]).prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => vec(text(samples), 0..4).prop_map(Value::from),
        1 => select(vec![Value::Null, json!({}), json!([null]), json!({"a": [1]})]),
    ];
    let key = prop_oneof![9 => select(keys), 1 => text(&["x"])];
    vec((key, value), 0..8).prop_map(Map::from_iter)
}

/// An input after up to [`MAX_MUTATIONS`] mutations, some of which insert a part of another sample.
pub fn mutated(input: impl Strategy<Value = Vec<u8>>, samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (input, vec(mutation(samples), 0..MAX_MUTATIONS)).prop_map(|(mut input, mutations)| {
        for mutation in mutations {
            mutation.apply(&mut input);
        }
        input
    })
}

/// A change of an input at any position.
#[derive(Clone, Debug)]
enum Mutation {
    /// Inverts bits of a byte.
    Flip(Index, u8),
    /// Removes everything after a position.
    Truncate(Index),
    /// Replaces bytes by others; without others, removes them.
    Replace(Index, usize, Vec<u8>),
    /// Inserts a part once more, so many times.
    Repeat(Index, usize, usize),
    /// Exchanges two parts of equal length.
    Swap(Index, Index, usize),
}

fn mutation(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let length = || prop_oneof![3 => 0..4_usize, 1 => 0..MAX_LENGTH];
    let part = (select(samples), at(), length()).prop_map(|(sample, at, length)| {
        let start = position(&sample, at);
        sample[start..].iter().copied().take(length).collect()
    });
    let fragment = select(&FRAGMENTS[..]).prop_map(|fragment| fragment.as_bytes().to_vec());
    let inserted = prop_oneof![vec(any::<u8>(), 0..8), fragment, part];
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        3 => (at(), 0..8_u32).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        1 => at().prop_map(Mutation::Truncate),
        5 => (at(), length(), inserted).prop_map(|(at, length, bytes)| Mutation::Replace(at, length, bytes)),
        2 => (at(), length(), 1..8_usize).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        1 => (at(), at(), length()).prop_map(|(one, other, length)| Mutation::Swap(one, other, length)),
    ]
}

impl Mutation {
    fn apply(self, input: &mut Vec<u8>) {
        match self {
            Self::Flip(at, bits) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] ^= bits;
                }
            }
            Self::Truncate(at) => input.truncate(position(input, at)),
            Self::Replace(at, length, bytes) => {
                let start = position(input, at);
                let end = input.len().min(start + length);
                input.splice(start..end, bytes);
            }
            Self::Repeat(at, length, times) => {
                let start = position(input, at);
                let end = input.len().min(start + length);
                let part = input[start..end].repeat(times);
                input.splice(end..end, part);
            }
            Self::Swap(one, other, length) => {
                let (one, other) = (position(input, one), position(input, other));
                for offset in 0..length.min(input.len() - one.max(other)) {
                    input.swap(one + offset, other + offset);
                }
            }
        }
    }
}

/// A position in an input, its end included.
fn position(input: &[u8], at: Index) -> usize {
    at.index(input.len() + 1)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// A parser that panics only at a certain text: mutations have to find it, and the failure has to name it.
    #[test]
    fn a_panic_of_a_parser_is_found_and_printed_with_its_seed_and_input() {
        let parse = |text: String| assert!(!(text.starts_with("cron:") && text.contains('#')), "a bug");
        let found = catch_unwind(AssertUnwindSafe(|| check("a bug", 20_000, &text(&["cron:0 6 * * *"]), parse)));
        let message = *found.unwrap_err().downcast::<String>().unwrap();
        assert!(
            message.starts_with("TEST_SEED=") && message.contains("a bug") && message.contains("cron:"),
            "{message}"
        );
    }
}
