//! From when on something is an alarm: set by the owner, the same for every configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::Document;
use serde::{Deserialize, Serialize};

use crate::alarm::Kind;

/// The thresholds. What is missing in a stored document has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Thresholds {
    /// How long a configuration may hold, await a choice or be stopped, in minutes: 0 to 1440.
    pub holding_minutes: u32,
    /// Age of the oldest pending event that is a warning, in minutes: 1 to 10080.
    pub lag_warning_minutes: u32,
    /// And critical: at least as long.
    pub lag_critical_minutes: u32,
    /// How long after the last quarantined event the alarm is taken back, in minutes: 1 to 1440.
    pub quarantine_minutes: u32,
    /// Free room on the disk that is a warning, in percent: 0 to 90.
    pub disk_warning_percent: u32,
    /// And critical: at most as much.
    pub disk_critical_percent: u32,
    /// Days until the disk is full at the pace of the last hours, that are a warning: 0 (never) to 60.
    pub disk_days_left: u32,
    /// How long before pending events are given up it is a warning, in hours: 0 (never) to 720. Critical at a quarter.
    pub expiry_ahead_hours: u32,
    /// How long a configuration may be paused, in hours: 0 (for ever) to 720.
    pub paused_hours: u32,
    /// How long something must be over before the alarm is taken back, in minutes: 1 to 60. Twice as long each time that it
    /// comes back within two hours.
    pub clear_minutes: u32,
    /// How often one is reminded of an alarm that stands, in hours: 0 (never) to 720.
    pub remind_hours: u32,
    /// Kinds that are no alarms here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub off: BTreeSet<Kind>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            holding_minutes: 2,
            lag_warning_minutes: 5,
            lag_critical_minutes: 30,
            quarantine_minutes: 10,
            disk_warning_percent: 15,
            disk_critical_percent: 5,
            disk_days_left: 3,
            expiry_ahead_hours: 24,
            paused_hours: 4,
            clear_minutes: 2,
            remind_hours: 24,
            off: BTreeSet::new(),
        }
    }
}

impl Document for Thresholds {
    const KIND: &'static str = "alarmThresholds";
}

/// Whole minutes as a duration.
pub(crate) fn minutes(n: u32) -> Duration {
    Duration::from_mins(u64::from(n))
}

/// Whole hours as a duration.
pub(crate) fn hours(n: u32) -> Duration {
    Duration::from_hours(u64::from(n))
}

impl Thresholds {
    /// The fields that are out of their ranges, each with an end of the sentence "the field …".
    pub fn complaints(&self) -> Vec<(&'static str, String)> {
        let ranges = [
            ("holdingMinutes", self.holding_minutes, 0, 1440),
            ("lagWarningMinutes", self.lag_warning_minutes, 1, 10_080),
            ("lagCriticalMinutes", self.lag_critical_minutes, 1, 10_080),
            ("quarantineMinutes", self.quarantine_minutes, 1, 1440),
            ("diskWarningPercent", self.disk_warning_percent, 0, 90),
            ("diskCriticalPercent", self.disk_critical_percent, 0, 90),
            ("diskDaysLeft", self.disk_days_left, 0, 60),
            ("expiryAheadHours", self.expiry_ahead_hours, 0, 720),
            ("pausedHours", self.paused_hours, 0, 720),
            ("clearMinutes", self.clear_minutes, 1, 60),
            ("remindHours", self.remind_hours, 0, 720),
        ];
        let mut complaints: Vec<(&'static str, String)> = ranges
            .into_iter()
            .filter(|(_, value, min, max)| !(min..=max).contains(&value))
            .map(|(field, _, min, max)| (field, format!("must be a whole number from {min} to {max}")))
            .collect();
        if self.lag_critical_minutes < self.lag_warning_minutes {
            complaints.push(("lagCriticalMinutes", "must be at least lagWarningMinutes".to_owned()));
        }
        if self.disk_critical_percent > self.disk_warning_percent {
            complaints.push(("diskCriticalPercent", "must be at most diskWarningPercent".to_owned()));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_a_stored_document_has_its_default() {
        let read: Thresholds = serde_json::from_str(r#"{"lagWarningMinutes": 7, "off": ["disk"]}"#).unwrap();
        let off = BTreeSet::from([Kind::Disk]);
        assert_eq!(read, Thresholds { lag_warning_minutes: 7, off, ..Thresholds::default() });
        assert_eq!(serde_json::from_str::<Thresholds>("{}").unwrap(), Thresholds::default());
    }

    #[test]
    fn the_defaults_are_within_their_ranges_and_what_is_not_is_named() {
        assert_eq!(Thresholds::default().complaints(), []);
        let wrong = Thresholds {
            lag_warning_minutes: 40,
            disk_critical_percent: 91,
            remind_hours: 721,
            ..Thresholds::default()
        };
        let fields: Vec<&str> = wrong.complaints().into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            ["diskCriticalPercent", "remindHours", "lagCriticalMinutes", "diskCriticalPercent"]
        );
    }
}
