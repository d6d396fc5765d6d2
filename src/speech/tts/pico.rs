//! The owner type over the C engine SVOX Pico: one voice, one thread at a time.
//!
//! This is the only file that calls `ttspico-sys`, and the reason for its `unsafe`. Owns the
//! engine's memory arena and handles. Does not clean text: Pico obeys markup in what it is given
//! (`<genfile>` writes files), so only [`PicoText`] gets in.

#![expect(unsafe_code, reason = "foreign function interface to the Pico engine")]

use super::text::PicoText;
use std::ffi::CString;
use std::ops::ControlFlow;
use std::os::raw::{c_char, c_void};
use std::path::Path;
use std::ptr;
use ttspico_sys as ffi;

/// Rate of all Pico voices, in Hz.
pub const RATE: u32 = 16_000;

/// Memory for one voice; the largest (fr-FR) needs about 2 MB.
const ARENA_BYTES: usize = 4 * 1024 * 1024;

/// The longest resource path that Pico's fixed buffers take.
const PATH_BYTES_MAX: usize = 200;

/// `PICO_RESET_SOFT`, as the function wants it.
const RESET_SOFT: ffi::pico_Int32 = 16;

/// Steps without text or sound taken, after which the engine is held for stuck.
const IDLE_STEPS_MAX: u32 = 100_000;

/// Why the engine did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PicoError {
    /// The path of the voice files is not usable; set a shorter `node.data_dir`.
    #[error("voice file path {0:?} is longer than {PATH_BYTES_MAX} bytes or has a NUL byte")]
    Path(String),
    /// A call into the engine failed.
    #[error("{call} failed with status {status}")]
    Call {
        /// Name of the C function.
        call: &'static str,
        /// Its status.
        status: i32,
    },
    /// The engine took no text and made no sound for too long.
    #[error("the engine made no progress")]
    Stuck,
}

/// One loaded Pico voice. Cost: about 4 MiB.
pub struct PicoVoice {
    system: ffi::pico_System,
    engine: ffi::pico_Engine,
    /// Lives as long as `system`, which points into it; u64 for alignment.
    arena: Box<[u64]>,
}

// SAFETY: the handles point into the arena that this value owns, the C code keeps no thread-local
// and no mutable global state, and `&mut self` on every method keeps use to one thread at a time.
unsafe impl Send for PicoVoice {}

impl PicoVoice {
    /// Loads a voice from its two resource files.
    ///
    /// Cost: reads about 1.4 MB; call from an engine thread.
    ///
    /// # Errors
    /// [`PicoError`] if a path is too long, or a resource cannot be read.
    pub fn load(analysis: &Path, signal: &Path) -> Result<Self, PicoError> {
        let analysis = c_path(analysis)?;
        let signal = c_path(signal)?;
        let mut arena = vec![0_u64; ARENA_BYTES / 8].into_boxed_slice();
        let size = ffi::pico_Uint32::try_from(ARENA_BYTES).unwrap_or(0);
        let (system, engine) = (ptr::null_mut(), ptr::null_mut());
        let mut voice = Self { system, engine, arena: Box::default() };
        // SAFETY: the arena is valid, aligned, writable memory of the stated size, and moves into
        // `voice` below; boxed memory keeps its address.
        let status = unsafe {
            ffi::pico_initialize(arena.as_mut_ptr().cast::<c_void>(), size, &raw mut voice.system)
        };
        voice.arena = arena;
        check("pico_initialize", status)?;
        let name = c"bellwire";
        // SAFETY: `system` is initialised, `name` is NUL-terminated.
        let status = unsafe { ffi::pico_createVoiceDefinition(voice.system, name.as_ptr().cast()) };
        check("pico_createVoiceDefinition", status)?;
        for path in [&analysis, &signal] {
            voice.add_resource(path, name.as_ptr().cast())?;
        }
        // SAFETY: the voice definition above is complete; `engine` is written on success.
        let status = unsafe {
            ffi::pico_newEngine(voice.system, name.as_ptr().cast(), &raw mut voice.engine)
        };
        check("pico_newEngine", status)?;
        Ok(voice)
    }

    fn add_resource(
        &mut self,
        path: &CString,
        voice_name: *const ffi::pico_Char,
    ) -> Result<(), PicoError> {
        let mut resource: ffi::pico_Resource = ptr::null_mut();
        // SAFETY: `system` is initialised, the path is NUL-terminated and within Pico's buffers.
        let status =
            unsafe { ffi::pico_loadResource(self.system, path.as_ptr().cast(), &raw mut resource) };
        check("pico_loadResource", status)?;
        let mut name = [0 as c_char; ffi::PICO_RETSTRINGSIZE];
        // SAFETY: `resource` was loaded above; `name` has the size that the function writes into.
        let status = unsafe { ffi::pico_getResourceName(self.system, resource, name.as_mut_ptr()) };
        check("pico_getResourceName", status)?;
        // SAFETY: both names are NUL-terminated; the definition was made by `load`.
        let status = unsafe {
            ffi::pico_addResourceToVoiceDefinition(
                self.system,
                voice_name,
                name.as_ptr().cast::<ffi::pico_Char>(),
            )
        };
        check("pico_addResourceToVoiceDefinition", status)
    }

    /// Speaks a text, handing out samples as they are made.
    ///
    /// Shape: mono `i16` at [`RATE`], pieces of up to 1024 samples. `take` may stop the engine by
    /// `Break`; it is then ready for the next text. Cost: about 1 % of real time; blocks.
    ///
    /// # Errors
    /// [`PicoError`] if the engine fails; it may then be used again.
    pub fn speak(
        &mut self,
        text: &PicoText,
        mut take: impl FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), PicoError> {
        let outcome = self.run(text, &mut take);
        if outcome != Ok(ControlFlow::Continue(())) {
            // SAFETY: `engine` is a live engine; a soft reset drops its queued text and sound.
            let status = unsafe { ffi::pico_resetEngine(self.engine, RESET_SOFT) };
            check("pico_resetEngine", status)?;
        }
        outcome.map(drop)
    }

    fn run(
        &mut self,
        text: &PicoText,
        take: &mut impl FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PicoError> {
        let mut rest = text.as_bytes_with_nul();
        let mut idle = 0;
        loop {
            let put = self.put_text(rest)?;
            rest = rest.get(put..).unwrap_or_default();
            let mut made = 0;
            loop {
                let mut samples = [0_i16; 1024];
                let (count, busy) = self.take_samples(&mut samples)?;
                made += count;
                let piece = samples.get(..count).unwrap_or_default();
                if !piece.is_empty() && take(piece).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                idle = if count == 0 { idle + 1 } else { 0 };
                if idle > IDLE_STEPS_MAX {
                    return Err(PicoError::Stuck);
                }
                if !busy {
                    break;
                }
            }
            if rest.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            if put == 0 && made == 0 {
                return Err(PicoError::Stuck);
            }
        }
    }

    fn put_text(&mut self, text: &[u8]) -> Result<usize, PicoError> {
        let Ok(size) = ffi::pico_Int16::try_from(text.len().min(8192)) else { return Ok(0) };
        if size == 0 {
            return Ok(0);
        }
        let mut put: ffi::pico_Int16 = 0;
        // SAFETY: `text` is readable for `size` bytes and `engine` is live.
        let status =
            unsafe { ffi::pico_putTextUtf8(self.engine, text.as_ptr(), size, &raw mut put) };
        check("pico_putTextUtf8", status)?;
        Ok(usize::try_from(put).unwrap_or(0))
    }

    /// Runs one step; returns the samples made and whether the engine has more to do.
    fn take_samples(&mut self, out: &mut [i16; 1024]) -> Result<(usize, bool), PicoError> {
        let mut bytes: ffi::pico_Int16 = 0;
        let mut kind: ffi::pico_Int16 = 0;
        // SAFETY: `out` is writable for the stated 2048 bytes and `engine` is live.
        let status = unsafe {
            ffi::pico_getData(
                self.engine,
                out.as_mut_ptr().cast::<c_void>(),
                2048,
                &raw mut bytes,
                &raw mut kind,
            )
        };
        if status != ffi::PICO_STEP_IDLE && status != ffi::PICO_STEP_BUSY {
            return Err(PicoError::Call { call: "pico_getData", status });
        }
        let count = usize::try_from(bytes).unwrap_or(0) / 2;
        Ok((count.min(out.len()), status == ffi::PICO_STEP_BUSY))
    }
}

impl Drop for PicoVoice {
    fn drop(&mut self) {
        // SAFETY: each handle is disposed of once, engine before system, and only if it was made;
        // resources are unloaded by `pico_terminate`.
        unsafe {
            if !self.engine.is_null() {
                ffi::pico_disposeEngine(self.system, &raw mut self.engine);
            }
            if !self.system.is_null() {
                ffi::pico_terminate(&raw mut self.system);
            }
        }
    }
}

fn c_path(path: &Path) -> Result<CString, PicoError> {
    let text = path.to_string_lossy();
    if text.len() > PATH_BYTES_MAX {
        return Err(PicoError::Path(text.into_owned()));
    }
    CString::new(text.as_bytes()).map_err(|_| PicoError::Path(text.into_owned()))
}

fn check(call: &'static str, status: ffi::pico_Status) -> Result<(), PicoError> {
    // Positive values are warnings.
    if status < 0 { Err(PicoError::Call { call, status }) } else { Ok(()) }
}
