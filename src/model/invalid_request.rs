//! The violations of one request, collected from several checks.

use super::{Error, Invalid, Result, Violations};

/// What is invalid in a request: in its form, and in what its values mean for a type.
#[derive(Clone, Debug, Default)]
pub struct InvalidRequest {
    /// That of all violations; `INVALID_FIELD` if they have several.
    reason: Option<Invalid>,
    violations: Violations,
}

impl InvalidRequest {
    /// Adds violations, if there are any.
    pub fn add(&mut self, reason: Invalid, found: Violations) {
        if !found.is_empty() {
            self.note(reason);
            self.violations.extend(found);
        }
    }

    /// Adds one violation.
    pub fn refuse(&mut self, reason: Invalid, field: impl AsRef<str>, description: impl AsRef<str>) {
        let mut violations = Violations::new();
        violations.add(field, description);
        self.add(reason, violations);
    }

    /// The violations, if there are any; otherwise another error.
    pub fn or(self, error: Error) -> Error {
        self.into_result().err().unwrap_or(error)
    }

    /// Adds the violations of a failed check, and returns `None` for it. Any other error is returned, unless there are
    /// violations, which are returned instead.
    pub fn collect<T>(&mut self, checked: Result<T>) -> Result<Option<T>> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(reason, found)) => {
                self.note(reason);
                self.violations.extend_with_others(found);
                Ok(None)
            }
            Err(error) => Err(std::mem::take(self).or(error)),
        }
    }

    /// Takes the result of the last check, which is returned if there are no violations.
    pub fn finish<T>(mut self, checked: Result<T>) -> Result<T> {
        let checked = self.collect(checked)?;
        self.into_result()?;
        checked.ok_or_else(|| Error::internal("a check failed without a violation"))
    }

    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.reason.is_none()
    }

    /// `Ok` if there are no violations.
    pub fn into_result(self) -> Result<()> {
        match self.reason {
            Some(reason) => Err(Error::Invalid(reason, self.violations)),
            None => Ok(()),
        }
    }

    fn note(&mut self, reason: Invalid) {
        let earlier = self.reason.get_or_insert(reason);
        if *earlier != reason {
            *earlier = Invalid::Field;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(error: &Error) -> Vec<&str> {
        let Error::Invalid(_, violations) = error else { panic!("{error}") };
        violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn violations_of_several_checks_are_collected_and_other_errors_come_after_them() {
        let mut form = Violations::new();
        form.add("a", "is required");
        form.add("b", "has too many values");
        let mut request = InvalidRequest::default();
        request.add(Invalid::Field, form);
        assert_eq!(request.collect(Ok(7)).unwrap(), Some(7));
        // A field that was reported, or one below it, is not reported again.
        for (field, description) in [("b.c", "is required"), ("a", "is unknown"), ("bc", "is unknown")] {
            assert!(request.collect::<()>(Err(Error::invalid(field, description))).unwrap().is_none());
        }
        let error = request.collect::<()>(Err(Error::DeadlineExceeded)).unwrap_err();
        assert_eq!(fields(&error), ["a", "b", "bc"]);
        let mut empty = InvalidRequest::default();
        assert!(matches!(empty.collect::<()>(Err(Error::DeadlineExceeded)), Err(Error::DeadlineExceeded)));
        assert!(empty.into_result().is_ok());
    }

    #[test]
    fn a_reason_is_kept_if_there_is_no_other() {
        let never = || Err(Error::invalid_as(Invalid::ScheduleNeverFires, "schedule", "never fires"));
        let mut request = InvalidRequest::default();
        request.collect::<()>(never()).unwrap();
        assert!(matches!(request.into_result(), Err(Error::Invalid(Invalid::ScheduleNeverFires, _))));
        let mut request = InvalidRequest::default();
        request.collect::<()>(never()).unwrap();
        request.collect::<()>(Err(Error::invalid("a", "is required"))).unwrap();
        let error = request.into_result().unwrap_err();
        assert!(matches!(&error, Error::Invalid(Invalid::Field, _)));
        assert_eq!(fields(&error), ["schedule", "a"]);
    }
}
