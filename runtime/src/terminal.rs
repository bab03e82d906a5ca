//! Lines for a person at a terminal. What they say is their writers' business, where they go the commands'.

/// A line that breaks nowhere and steers no terminal, whatever the names in it hold: U+FFFD in place of control characters.
pub fn printable(line: &str) -> String {
    line.replace(char::is_control, "\u{fffd}")
}
