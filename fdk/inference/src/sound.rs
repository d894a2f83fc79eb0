//! A recording → its samples as models hear them: one channel, 16,000 a second.

use crate::error::Error;
use crate::interrupt::Interrupt;
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler as _};
use std::io::Cursor;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

/// Samples in a second.
pub(crate) const RATE: usize = 16_000;
/// The longest recording, in seconds: what is decoded of it must fit beside the model, however well it was compressed.
pub(crate) const LONGEST: usize = 30 * 60;
/// Samples that are resampled at once.
const CHUNK: usize = 4096;

/// Decodes a WAV, FLAC, MP3 or OGG (Vorbis). Channels are averaged; another rate is brought to 16,000 by FFT. The interrupt
/// is asked before each packet.
pub(crate) fn decode(file: &[u8], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
    let fails = |error: Fault| Error::input("audio", format!("the recording cannot be decoded: {error}"));
    let stream = MediaSourceStream::new(Box::new(Cursor::new(file)), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|_| {
            Error::input("audio", "the file is no recording that is read here: send a WAV, FLAC, MP3 or OGG")
        })?;
    let track = format.default_track(TrackType::Audio);
    let track = track.ok_or_else(|| Error::input("audio", "the file has no sound in it"))?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters =
        parameters.ok_or_else(|| Error::input("audio", "the file does not say how its sound is coded"))?;
    if let (Some(frames), Some(rate)) = (track.num_frames, parameters.sample_rate) {
        check_length(frames / u64::from(rate.max(1)))?;
    }
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(fails)?;
    let mut sound: Option<Sound> = None;
    let mut samples: Vec<f32> = Vec::new();
    loop {
        interrupt.check()?;
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A recording that was cut off is heard as far as it goes.
            Err(Fault::IoError(_)) if sound.is_some() => break,
            Err(error) => return Err(fails(error)),
        };
        if packet.track_id != id {
            continue;
        }
        let buffer = match decoder.decode(&packet) {
            Ok(buffer) => buffer,
            // One bad packet is skipped, as players do.
            Err(Fault::DecodeError(_)) => continue,
            Err(error) => return Err(fails(error)),
        };
        let (rate, channels) = (buffer.spec().rate() as usize, buffer.num_planes());
        if channels == 0 || buffer.frames() == 0 {
            continue;
        }
        let sound = match &mut sound {
            Some(sound) => sound,
            empty => empty.insert(Sound::new(rate)?),
        };
        if sound.rate != rate {
            return Err(Error::input("audio", "the recording changes its rate midway"));
        }
        samples.resize(buffer.samples_interleaved(), 0.0);
        buffer.copy_to_slice_interleaved(&mut samples);
        sound.take(&samples, channels)?;
    }
    let sound = sound.ok_or_else(|| Error::input("audio", "the recording is empty"))?;
    sound.finish()
}

fn check_length(seconds: u64) -> Result<(), Error> {
    if seconds <= LONGEST as u64 {
        return Ok(());
    }
    let message = format!("the recording is longer than {} minutes: send it in parts", LONGEST / 60);
    Err(Error::input("audio", message))
}

/// What has been decoded so far.
struct Sound {
    rate: usize,
    /// Mono samples at the recording's own rate that are yet to be resampled.
    waiting: Vec<f32>,
    taken: usize,
    resampler: Option<Fft<f32>>,
    samples: Vec<f32>,
}

impl Sound {
    fn new(rate: usize) -> Result<Self, Error> {
        if !(4_000..=384_000).contains(&rate) {
            return Err(Error::input(
                "audio",
                format!("the recording has {rate} samples a second; 4,000 to 384,000 are read"),
            ));
        }
        let resampler = if rate == RATE {
            None
        } else {
            let made = Fft::new(rate, RATE, CHUNK, 1, FixedSync::Input);
            Some(made.map_err(|error| Error::model("has no resampler for this rate", error))?)
        };
        Ok(Self { rate, waiting: Vec::new(), taken: 0, resampler, samples: Vec::new() })
    }

    fn take(&mut self, interleaved: &[f32], channels: usize) -> Result<(), Error> {
        #[expect(clippy::cast_precision_loss, reason = "a few channels")]
        let share = 1.0 / channels as f32;
        let mono = interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() * share);
        // What is no number would spread through every window that holds it.
        self.waiting.extend(mono.map(|sample| if sample.is_finite() { sample } else { 0.0 }));
        self.taken += interleaved.len() / channels;
        check_length((self.taken / self.rate) as u64)?;
        self.resample()
    }

    fn resample(&mut self) -> Result<(), Error> {
        let Some(resampler) = &mut self.resampler else {
            self.samples.append(&mut self.waiting);
            return Ok(());
        };
        let fails = |why: String| Error::model("cannot resample", why);
        let mut done = 0;
        loop {
            let next = resampler.input_frames_next();
            let Some(chunk) = self.waiting.get(done..done + next) else { break };
            let chunk = InterleavedOwned::new_from(chunk.to_vec(), 1, next)
                .map_err(|error| fails(error.to_string()))?;
            let made = resampler.process(&chunk, None).map_err(|error| fails(error.to_string()))?;
            self.samples.extend(made.take_data());
            done += next;
        }
        self.waiting.drain(..done);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<f32>, Error> {
        let Some(resampler) = &self.resampler else { return Ok(self.samples) };
        let delay = resampler.output_delay();
        let whole = (self.taken * RATE).div_ceil(self.rate);
        // Silence pushes out what is still on its way.
        while self.samples.len() < delay + whole {
            self.waiting.resize(self.waiting.len() + CHUNK, 0.0);
            self.resample()?;
        }
        self.samples.drain(..delay);
        self.samples.truncate(whole);
        Ok(self.samples)
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
mod tests {
    use super::*;

    /// A WAV of 16-bit samples, channels side by side.
    fn wav(rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
        let data: Vec<u8> =
            samples.iter().flat_map(|sample| ((sample * 32767.0) as i16).to_le_bytes()).collect();
        let length = u32::try_from(data.len()).unwrap();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + length).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(channels) * 2).to_le_bytes());
        file.extend((channels * 2).to_le_bytes());
        file.extend(b"\x10\0data");
        file.extend(length.to_le_bytes());
        file.extend(data);
        file
    }

    fn tone(rate: u32, seconds: f32) -> Vec<f32> {
        let count = (rate as f32 * seconds) as usize;
        (0..count).map(|i| (i as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin() * 0.5).collect()
    }

    #[test]
    fn a_tone_stays_a_tone_at_any_rate() {
        let expected = tone(16_000, 1.0);
        for rate in [8_000, 16_000, 22_050, 44_100, 48_000] {
            let stereo: Vec<f32> =
                tone(rate, 1.0).iter().flat_map(|sample| [sample * 1.5, sample * 0.5]).collect();
            let heard = decode(&wav(rate, 2, &stereo), &Interrupt::never()).unwrap();
            assert_eq!(heard.len(), expected.len(), "{rate}");
            let inner = 400..15_600;
            let worst = inner.map(|i| (heard[i] - expected[i]).abs()).fold(0.0, f32::max);
            // A delay of the resampler is told in whole samples; half a sample of this tone is 0.043.
            assert!(worst < 0.045, "{rate}: {worst}");
        }
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let message = |file: &[u8]| decode(file, &Interrupt::never()).unwrap_err().to_string();
        assert!(
            message(b"no sound at all, only text, and some more of it")
                .starts_with("the file is no recording")
        );
        assert!(message(&wav(1_000, 1, &tone(1_000, 0.1))).contains("1000 samples a second"));
        // Half an hour and a bit, as its header claims it.
        let mut long = wav(16_000, 1, &tone(16_000, 0.1));
        let claimed = 16_000_u32 * 2 * 1900;
        let at = long.len() - 3200 - 4;
        long[at..at + 4].copy_from_slice(&claimed.to_le_bytes());
        long[4..8].copy_from_slice(&(claimed + 36).to_le_bytes());
        assert_eq!(message(&long), "the recording is longer than 30 minutes: send it in parts");
        let stop = || true;
        let stopped = decode(&wav(16_000, 1, &tone(16_000, 1.0)), &Interrupt::when(&stop)).unwrap_err();
        assert!(stopped.is_interrupted());
    }
}
