//! Texts of flags to values, with all problems of a command reported together.

use std::{collections::BTreeMap, fmt, time::Duration};

/// Everything that is wrong with a command's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    /// Without dashes; `None` for what stands on the command line without a flag.
    flag: Option<String>,
    /// What is wrong, and what to do.
    what: String,
    /// Where the value came from, if not from the command line.
    origin: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(flag) = &self.flag {
            write!(f, "--{flag}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.origin {
            Some(origin) => write!(f, " (set by {origin})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            many => {
                write!(f, "{} settings are wrong:", many.len())?;
                many.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// Kinds of whole numbers that a flag can have.
pub trait Whole: std::str::FromStr + Default {
    /// The smallest.
    const LEAST: Self;
    /// The largest.
    const MOST: Self;
}

macro_rules! whole {
    ($($kind:ty),+) => {$(
        impl Whole for $kind {
            const LEAST: Self = Self::MIN;
            const MOST: Self = Self::MAX;
        }
    )+};
}

whole!(u8, u16, u32, u64, usize, i64);

impl Problems {
    /// Remembers what is wrong with a flag. One whose value is wrong already is not missing, whatever stood in for it.
    pub fn add(&mut self, flag: &str, problem: impl fmt::Display) {
        let what = problem.to_string();
        if what.starts_with("missing") && self.0.iter().any(|p| p.flag.as_deref() == Some(flag)) {
            return;
        }
        self.0.push(Problem {
            flag: Some(flag.to_owned()),
            what,
            origin: None,
        });
    }

    /// Remembers what is wrong with a word that belongs to no flag.
    pub fn add_word(&mut self, problem: impl fmt::Display) {
        self.0.push(Problem {
            flag: None,
            what: problem.to_string(),
            origin: None,
        });
    }

    /// The same, each with the variable or file that its flag's value came from: `origins` has them by flag.
    #[must_use]
    pub fn with_origins(mut self, origins: &BTreeMap<String, String>) -> Self {
        for problem in &mut self.0 {
            problem.origin = problem.flag.as_ref().and_then(|flag| origins.get(flag)).cloned();
        }
        self
    }

    /// The value, or its default and a remembered problem.
    pub fn or_default<T: Default, E: fmt::Display>(&mut self, flag: &str, value: Result<T, E>) -> T {
        value.unwrap_or_else(|problem| {
            self.add(flag, problem);
            T::default()
        })
    }

    /// `true` or `false` in one of Go's spellings.
    pub fn bool(&mut self, flag: &str, text: &str) -> bool {
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            other => {
                self.add(flag, format_args!("{other:?} is neither true nor false"));
                false
            }
        }
    }

    /// A whole number.
    pub fn number<T: Whole + fmt::Display>(&mut self, flag: &str, text: &str) -> T {
        text.parse().unwrap_or_else(|_| {
            self.add(
                flag,
                format_args!("{text:?} is not a whole number from {} to {}", T::LEAST, T::MOST),
            );
            T::default()
        })
    }

    /// A duration in Go's notation.
    pub fn duration(&mut self, flag: &str, text: &str) -> Duration {
        self.or_default(flag, duration(text))
    }

    /// A list: each text holds comma-separated values, with quotes around those that contain a comma.
    pub fn list(&mut self, flag: &str, texts: &[String]) -> Vec<String> {
        let mut out = Vec::new();
        for text in texts {
            match split_list(text) {
                Ok(items) => out.extend(items),
                // What cannot be taken apart cannot be redacted either.
                Err(_) if is_secret(flag) => self.add(flag, "a quote in the value does not end"),
                Err(problem) => self.add(flag, problem),
            }
        }
        out
    }

    /// `value`, if nothing was wrong.
    ///
    /// # Errors
    /// All problems together.
    pub fn finish<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// Whether a flag's values are kept from log lines and messages.
#[must_use]
pub(crate) fn is_secret(flag: &str) -> bool {
    flag.contains("auth-token") || flag.contains("header")
}

/// `None` for the empty text, which stands for "not given".
#[must_use]
pub fn given(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}

/// Decimal numbers with units, as in `1m30s`, `1.5h` and `200ms`; `0` needs no unit.
///
/// # Errors
/// A sentence that says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration such as 2s, 1m30s or 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(bad());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        total = decimal_times(number, nanos)
            .and_then(|d| total.checked_add(d))
            .ok_or_else(bad)?;
        rest = tail;
    }
    Ok(total)
}

/// `number`, a decimal with at most nine places, times `nanos` nanoseconds.
fn decimal_times(number: &str, nanos: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 9 {
        return None;
    }
    let parse = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<u64>().ok() };
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fine = u128::from(parse(fraction)?)
        .checked_mul(u128::from(nanos))?
        .checked_div(scale)?;
    let all = u128::from(parse(whole)?)
        .checked_mul(u128::from(nanos))?
        .checked_add(fine)?;
    u64::try_from(all).ok().map(Duration::from_nanos)
}

/// One line of comma-separated values; the empty text is no value.
///
/// # Errors
/// For a quote that does not end.
pub fn split_list(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    let mut item = String::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                item.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if item.is_empty() => quoted = true,
            ',' if !quoted => out.push(std::mem::take(&mut item)),
            c => item.push(c),
        }
    }
    if quoted {
        return Err(format!("a quote in {text:?} does not end"));
    }
    out.push(item);
    Ok(out)
}

/// One value as it must stand in a list.
#[must_use]
pub fn quoted_item(item: &str) -> String {
    if item.contains([',', '"']) {
        format!("\"{}\"", item.replace('"', "\"\""))
    } else {
        item.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("2s", ms(2000)),
            ("1m30s", ms(90_000)),
            ("5m0s", ms(300_000)),
            ("1.5h", ms(5_400_000)),
            ("200ms", ms(200)),
            (".5s", ms(500)),
            ("0", ms(0)),
            ("1us", Duration::from_micros(1)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["", "2", "s", "2 s", "-1s", "1d", "1.2.3s", ".s", "99999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_outside_quotes() {
        let split = |text| split_list(text).unwrap();
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(split("a,b"), ["a", "b"]);
        assert_eq!(split("\"a,b\",c"), ["a,b", "c"]);
        assert_eq!(split("\"say \"\"x\"\"\""), ["say \"x\""]);
        assert!(split_list("\"a").is_err());
        assert_eq!(split(&quoted_item("a,\"b\"")), ["a,\"b\""]);
    }

    #[test]
    fn all_problems_are_told_together() {
        let mut problems = Problems::default();
        problems.bool("builder-api", "maybe");
        let _: u64 = problems.number("testnet-chain-id", "-1");
        problems.duration("beacon-node-timeout", "2");
        let text = problems.finish(()).unwrap_err().to_string();
        assert!(text.starts_with("3 settings are wrong:"), "{text}");
        assert!(
            text.contains("\n  --builder-api: \"maybe\" is neither true nor false"),
            "{text}"
        );
        assert!(
            text.contains("--beacon-node-timeout: \"2\" is not a duration"),
            "{text}"
        );
    }

    #[test]
    fn a_problem_says_where_its_value_came_from_and_what_would_fit() {
        let mut problems = Problems::default();
        let _: u8 = problems.number("nodes", "300");
        problems.add_word("there is no command \"x\"");
        let origins = [("nodes".to_owned(), "CHARON_NODES".to_owned())].into();
        let text = problems.with_origins(&origins).to_string();
        assert!(
            text.contains("\n  --nodes: \"300\" is not a whole number from 0 to 255 (set by CHARON_NODES)"),
            "{text}"
        );
        assert!(text.ends_with("\n  there is no command \"x\""), "{text}");
    }

    #[test]
    fn what_is_wrong_is_not_called_missing_besides() {
        let mut problems = Problems::default();
        if problems.number::<u8>("nodes", "many") == 0 {
            problems.add("nodes", "missing: say how many nodes");
        }
        assert_eq!(
            problems.to_string(),
            "--nodes: \"many\" is not a whole number from 0 to 255"
        );
    }

    #[test]
    fn a_secret_is_in_no_message() {
        let mut problems = Problems::default();
        problems.list("keymanager-auth-tokens", &["\"hidden".to_owned()]);
        problems.list("beacon-node-headers", &["\"hidden".to_owned()]);
        let text = problems.to_string();
        assert!(text.starts_with("2 settings") && !text.contains("hidden"), "{text}");
    }
}
