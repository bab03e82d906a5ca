//! From YAML text to a value that keeps every rule, with the line of the offending field otherwise.

use std::{fmt, ops::Deref};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};

use crate::Violation;

/// A raw form with rules of its own.
pub trait Validate {
    /// The first broken rule.
    fn validate(&self) -> Result<(), Violation>;
}

/// A value whose rules hold: only [`TryFrom`] and [`Valid::parse`] make one, and it can't be changed in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid<T>(T);

/// Why a text is not a valid config or manifest; one line that names the field and its line.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not YAML, an unknown or missing field, or a value of another type.
    #[error("{}", one_line(.0))]
    Form(#[from] serde_yaml::Error),
    /// Well-formed, but a rule is broken.
    #[error("{}: {violation}{}", violation.field(), at(.line))]
    Rule {
        /// The broken rule.
        violation: Violation,
        /// Line of the field, from 1; none if the text leaves it to its default.
        line: Option<usize>,
    },
}

impl<T: Validate> TryFrom<Raw<T>> for Valid<T> {
    type Error = Violation;

    fn try_from(Raw(raw): Raw<T>) -> Result<Self, Violation> {
        raw.validate()?;
        Ok(Self(raw))
    }
}

/// The form before its rules were checked.
#[derive(Clone, Debug)]
pub struct Raw<T>(pub T);

impl<T: Validate> Valid<T> {
    /// Checks the rules of a value made in code.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn new(raw: T) -> Result<Self, Violation> {
        Raw(raw).try_into()
    }

    /// The raw form, to be changed and checked again.
    pub fn into_raw(self) -> T {
        self.0
    }
}

impl<T: Validate + DeserializeOwned> Valid<T> {
    /// Reads YAML and checks the rules.
    ///
    /// # Errors
    /// One line that names the field and, where the text holds it, the line.
    pub fn parse(yaml: &str) -> Result<Self, ParseError> {
        let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(yaml); // some editors begin a file so
        let raw: T = serde_yaml::from_str(yaml)?;
        Self::new(raw).map_err(|violation| {
            let line = line_of(yaml, violation.field());
            ParseError::Rule { violation, line }
        })
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// serde_yaml names every place but the first; a repeated field is placed where its mapping starts, which may be there.
fn one_line(error: &serde_yaml::Error) -> String {
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error.location() {
        Some(place) if !text.contains(" at line ") && !text.contains("duplicate field") => {
            format!("{text} at line {} column {}", place.line(), place.column())
        }
        _ => text,
    }
}

fn at(line: &Option<usize>) -> String {
    line.map(|line| format!(" (line {line})")).unwrap_or_default()
}

/// Line of the value at `path` (keys joined by dots). YAML values carry no positions, but parse errors do: so the
/// text is read once more by a visitor that follows the path and fails where it ends.
fn line_of(yaml: &str, path: &str) -> Option<usize> {
    let keys: Vec<&str> = path.split('.').collect();
    let error = Descent(&keys).deserialize(serde_yaml::Deserializer::from_str(yaml)).err()?;
    error.location().map(|location| location.line())
}

struct Descent<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Descent<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the end of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom("here")) };
        while let Some(key) = map.next_key::<String>()? {
            if key == *first {
                map.next_value_seed(Descent(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
