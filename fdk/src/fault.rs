//! Whose fault an error of another room is, told to the runtime, which does not know the other rooms.

use crate::Error;

/// An error of the inference core in the runtime's terms; any other as it is.
#[cfg(feature = "model")]
pub(crate) fn told(error: Error) -> Error {
    let Some(cause) = error.downcast_ref::<fdk_inference::Error>() else { return error };
    if cause.is_interrupted() {
        return Error::timed_out();
    }
    match cause.path() {
        Some(path) => Error::input(cause.to_string()).at(path).status(422),
        None => error,
    }
}
