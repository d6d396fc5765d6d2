//! The owner type over the C library PocketSphinx: one decoder, one thread at a time.
//!
//! The only file that calls the library, and the reason for its `unsafe`. Declares by hand the
//! dozen functions that are used, after the headers of version 5prealpha (Debian 12). Does not
//! check grammars: only [`Grammar`] gets in, which has words of the dictionary and nothing else.

#![expect(unsafe_code, reason = "foreign function interface to PocketSphinx")]

use super::grammar::Grammar;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

/// Rate of the model's features, in Hz.
pub(super) const RATE: u32 = 16_000;
/// Frames a second of word times.
const FRAMES: u32 = 100;
/// Words of an utterance that are read.
const WORDS_MAX: usize = 200;

/// Loading touches the library's one log file.
static LOADING: Mutex<()> = Mutex::new(());

/// `ps_decoder_t`.
#[repr(C)]
struct PsDecoder {
    _opaque: [u8; 0],
}

/// `cmd_ln_t`.
#[repr(C)]
struct CmdLn {
    _opaque: [u8; 0],
}

/// `ps_seg_t`.
#[repr(C)]
struct PsSeg {
    _opaque: [u8; 0],
}

// pocketsphinx.h, ps_search.h and sphinxbase/cmd_ln.h; int32 is int.
unsafe extern "C" {
    fn ps_args() -> *const c_void;
    fn cmd_ln_parse_r(
        inout: *mut CmdLn,
        definitions: *const c_void,
        argc: c_int,
        argv: *mut *mut c_char,
        strict: c_int,
    ) -> *mut CmdLn;
    fn cmd_ln_free_r(config: *mut CmdLn) -> c_int;
    fn ps_init(config: *mut CmdLn) -> *mut PsDecoder;
    fn ps_free(decoder: *mut PsDecoder) -> c_int;
    fn ps_set_jsgf_string(
        decoder: *mut PsDecoder,
        name: *const c_char,
        grammar: *const c_char,
    ) -> c_int;
    fn ps_set_search(decoder: *mut PsDecoder, name: *const c_char) -> c_int;
    fn ps_start_utt(decoder: *mut PsDecoder) -> c_int;
    fn ps_process_raw(
        decoder: *mut PsDecoder,
        samples: *const i16,
        count: usize,
        no_search: c_int,
        full: c_int,
    ) -> c_int;
    fn ps_end_utt(decoder: *mut PsDecoder) -> c_int;
    fn ps_seg_iter(decoder: *mut PsDecoder) -> *mut PsSeg;
    fn ps_seg_next(seg: *mut PsSeg) -> *mut PsSeg;
    fn ps_seg_word(seg: *mut PsSeg) -> *const c_char;
    fn ps_seg_frames(seg: *mut PsSeg, first: *mut c_int, last: *mut c_int);
    fn ps_seg_free(seg: *mut PsSeg);
}

/// Why the library did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SphinxError {
    /// The path has a NUL byte.
    #[error("model path {0:?} has a NUL byte")]
    Path(String),
    /// The model cannot be loaded.
    #[error("PocketSphinx cannot load the model in {0}")]
    Model(String),
    /// A call into the library failed.
    #[error("PocketSphinx: {0} failed")]
    Call(&'static str),
}

/// A word and its samples at [`RATE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    /// As the dictionary writes it.
    pub(super) word: String,
    /// First sample.
    pub(super) start: u64,
    /// One past the last.
    pub(super) end: u64,
}

/// One loaded model. Cost: some 30 MB, half a second to load.
pub(super) struct Decoder {
    decoder: NonNull<PsDecoder>,
    grammar: Option<Arc<Grammar>>,
}

// SAFETY: the library keeps no thread-local state but the log file, which is set while LOADING is
// held and stays /dev/null; `&mut self` on every method keeps use to one thread at a time.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Loads an acoustic model and a dictionary.
    ///
    /// # Errors
    /// [`SphinxError::Path`], [`SphinxError::Model`].
    pub(super) fn load(model: &Path, dictionary: &Path) -> Result<Self, SphinxError> {
        let c_path = |path: &Path| {
            let shown = path.display().to_string();
            CString::new(shown.clone()).map_err(|_| SphinxError::Path(shown))
        };
        let arguments = [
            c"bellwire".to_owned(),
            c"-hmm".to_owned(),
            c_path(model)?,
            c"-dict".to_owned(),
            c_path(dictionary)?,
            c"-logfn".to_owned(),
            c"/dev/null".to_owned(),
            // Utterances are cut out already, and times must not move.
            c"-remove_silence".to_owned(),
            c"no".to_owned(),
        ];
        let mut argv: Vec<*mut c_char> =
            arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let argc = c_int::try_from(argv.len()).unwrap_or(0);
        let failed = || SphinxError::Model(model.display().to_string());
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `argv` has `argc` NUL-terminated strings that outlive the call, which copies
        // them and writes to none; the definitions are the library's own constant.
        let config =
            unsafe { cmd_ln_parse_r(ptr::null_mut(), ps_args(), argc, argv.as_mut_ptr(), 1) };
        if config.is_null() {
            return Err(failed());
        }
        // SAFETY: the configuration is valid; the decoder takes a reference of its own.
        let decoder = unsafe { ps_init(config) };
        // SAFETY: gives up our reference, the only one we have.
        unsafe { cmd_ln_free_r(config) };
        let decoder = NonNull::new(decoder).ok_or_else(failed)?;
        Ok(Self { decoder, grammar: None })
    }

    /// Recognises a whole utterance at [`RATE`] as one of the grammar's phrases.
    ///
    /// Cost: about 2.5 % of the utterance's time.
    ///
    /// # Errors
    /// [`SphinxError::Call`].
    pub(super) fn decode(
        &mut self,
        grammar: &Arc<Grammar>,
        samples: &[i16],
    ) -> Result<Vec<Spoken>, SphinxError> {
        self.listen_for(grammar)?;
        let decoder = self.decoder.as_ptr();
        // SAFETY: the decoder is valid and has a search; no utterance is open.
        check("ps_start_utt", unsafe { ps_start_utt(decoder) })?;
        // SAFETY: an utterance is open; the pointer and the count are those of a slice that
        // outlives the call, which reads only.
        let taken = unsafe { ps_process_raw(decoder, samples.as_ptr(), samples.len(), 0, 1) };
        // SAFETY: the utterance is open; it is closed whatever became of its samples.
        let ended = unsafe { ps_end_utt(decoder) };
        check("ps_process_raw", taken)?;
        check("ps_end_utt", ended)?;
        Ok(self.words())
    }

    fn listen_for(&mut self, grammar: &Arc<Grammar>) -> Result<(), SphinxError> {
        if self.grammar.as_ref().is_some_and(|loaded| Arc::ptr_eq(loaded, grammar)) {
            return Ok(());
        }
        self.grammar = None;
        let (decoder, name) = (self.decoder.as_ptr(), c"phrases".as_ptr());
        // SAFETY: the decoder is valid and no utterance is open; both strings are NUL-terminated
        // and copied. A search of the same name is replaced and freed by the library.
        let set = unsafe { ps_set_jsgf_string(decoder, name, grammar.jsgf().as_ptr()) };
        check("ps_set_jsgf_string", set)?;
        // SAFETY: as above; the name was given just now.
        check("ps_set_search", unsafe { ps_set_search(decoder, name) })?;
        self.grammar = Some(Arc::clone(grammar));
        Ok(())
    }

    /// The words of the utterance that ended last, silence left out.
    fn words(&mut self) -> Vec<Spoken> {
        let mut words = Vec::new();
        // SAFETY: the decoder is valid and its utterance has ended.
        let mut seg = unsafe { ps_seg_iter(self.decoder.as_ptr()) };
        while !seg.is_null() {
            let (mut first, mut last): (c_int, c_int) = (0, 0);
            // SAFETY: `seg` is valid until `ps_seg_next` or `ps_seg_free`; both integers are ours.
            unsafe { ps_seg_frames(seg, &raw mut first, &raw mut last) };
            // SAFETY: as above; the word is the dictionary's, NUL-terminated, and copied here.
            let word = unsafe { ps_seg_word(seg) };
            if !word.is_null() {
                // SAFETY: just checked; see above.
                let word = unsafe { CStr::from_ptr(word) };
                words.extend(spoken(&word.to_string_lossy(), first, last));
            }
            if words.len() >= WORDS_MAX {
                // SAFETY: `seg` is valid and not used after.
                unsafe { ps_seg_free(seg) };
                break;
            }
            // SAFETY: `seg` is valid; it is freed by the call when there is no next.
            seg = unsafe { ps_seg_next(seg) };
        }
        words
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the one reference that we have; nothing of the decoder is used after.
        unsafe { ps_free(self.decoder.as_ptr()) };
    }
}

/// A word without the number of its pronunciation; silence and noise are none.
fn spoken(word: &str, first: c_int, last: c_int) -> Option<Spoken> {
    let word = word.split('(').next().unwrap_or_default();
    if word.is_empty() || word.starts_with(['<', '[', '+']) {
        return None;
    }
    let samples = |frame: c_int| u64::try_from(frame).unwrap_or(0) * u64::from(RATE / FRAMES);
    Some(Spoken {
        word: word.to_owned(),
        start: samples(first),
        end: samples(last.saturating_add(1)),
    })
}

fn check(call: &'static str, status: c_int) -> Result<(), SphinxError> {
    if status < 0 { Err(SphinxError::Call(call)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_numbers_and_noise_is_none() {
        for silence in ["<sil>", "(NULL)", "[NOISE]", "++UM++", ""] {
            assert_eq!(spoken(silence, 0, 1), None);
        }
        let word = Spoken { word: "the".to_owned(), start: 1600, end: 3200 };
        assert_eq!(spoken("the(2)", 10, 19), Some(word));
    }

    #[test]
    fn a_missing_model_is_an_error() {
        let nowhere = Path::new("/nonexistent");
        assert!(matches!(Decoder::load(nowhere, nowhere), Err(SphinxError::Model(_))));
        assert!(matches!(Decoder::load(Path::new("a\0b"), nowhere), Err(SphinxError::Path(_))));
    }
}
