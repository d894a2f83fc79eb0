//! What is wrong with a policy file, and where; and what it says that means nothing here.

use std::fmt;

/// Something that no documented statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1; 0 for a matching rule, which is in no such file.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "character {} of {}", self.column, self.message);
        }
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Fault {}

/// Something that OCI documents and that this platform has nothing for, or that waits for a placeholder's value: it allows
/// nobody anything here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The line in the file, from 1; 0 for a matching rule, which is in no such file.
    pub line: usize,
    /// What is not enforced.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}: ", self.line)?;
        }
        write!(f, "accepted, not enforced here: {}", self.message)
    }
}
