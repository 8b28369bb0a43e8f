//! Settings as flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::error::ConfigError;
use super::setting::Setting;
use super::settings::all;
use super::source::Values;

/// The flag that names the file.
const CONFIG: &str = "config";

/// The flags that are settings.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The other flags, by their settings.
    pub values: BTreeMap<&'static str, String>,
}

impl Flags {
    /// Reads these flags, the environment and the file.
    pub fn read(&self) -> Result<Values, ConfigError> {
        Values::read(all().collect(), &self.values, std::env::vars_os(), self.config.as_deref())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .env("OUTFLOW_CONFIG")
            .value_name("FILE")
            .global(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file with settings");
        let flag = |setting: &Setting| {
            Arg::new(setting.key)
                .long(setting.flag_name())
                .value_name(setting.key.to_ascii_uppercase())
                .global(true)
                .help(setting.description)
        };
        command.arg(config).args(all().filter(|setting| setting.flag).map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: &'static Setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone()));
        let values = all().filter(|setting| setting.flag).filter_map(value).collect();
        Ok(Self { config: matches.get_one::<PathBuf>(CONFIG).cloned(), values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
