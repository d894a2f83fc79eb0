//! Products, convolutions and attention over plain f32 rows: vectors where the CPU has them, chosen when the process runs, and
//! plain Rust elsewhere. `fdk-inference` tests each against candle.

pub mod attention;
pub mod bottleneck;
pub mod depthwise;
pub mod elementwise;
pub mod lined;
pub mod matmul;
pub mod patches;

use super::Isa;
use super::team::{self, Team};
use std::sync::{LazyLock, Mutex, PoisonError, TryLockError};

/// What the kernels run with, plain Rust where it is `None`. `FDK_KERNELS=candle` is for texts: candle has no network like these.
/// Whoever opens a model has refused what names no kernels.
pub static ISA: LazyLock<Option<Isa>> = LazyLock::new(|| Isa::chosen().ok().flatten().or_else(Isa::detect));
/// As many threads as compute.
pub static THREADS: LazyLock<usize> = LazyLock::new(team::threads);
static TEAM: LazyLock<Mutex<Team>> = LazyLock::new(|| Mutex::new(Team::new(*THREADS)));

/// Deals chunks of a result out to the process's team.
pub fn share(out: &mut [f32], chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    deal(out.chunks_mut(chunk), work);
}

/// Deals items out to the process's team. One is done here, and so are all when the team is at something else.
pub fn deal<T: Send>(items: impl ExactSizeIterator<Item = T>, work: impl Fn(usize, T) + Sync) {
    let team = if items.len() > 1 && *THREADS > 1 { TEAM.try_lock() } else { Err(TryLockError::WouldBlock) };
    let mut team = match team {
        Ok(team) => team,
        // A chunk that panicked has left the team as it was.
        Err(TryLockError::Poisoned(team)) => team.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return items.enumerate().for_each(|(index, item)| work(index, item));
        }
    };
    let items: Vec<Mutex<Option<T>>> = items.map(|item| Mutex::new(Some(item))).collect();
    team.run(items.len(), |index, _| {
        let item = items[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(item) = item {
            work(index, item);
        }
    });
}

/// Whether the AVX2 paths may run.
#[cfg(target_arch = "x86_64")]
pub fn avx2() -> bool {
    // The library asks the CPU once and remembers.
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
}

/// Makes a kernel of a function that is generic over vectors, as for texts, and of plain Rust for other CPUs. It must ask for
/// nothing but the vectors' instructions: then the kernel is safe, since the CPU has what an [`Isa`] says.
macro_rules! kernel {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $generic:ident;)*) => {
        $($(#[$doc])*
        $vis fn $name(isa: Option<$crate::Isa>, $($argument: $type),*) {
            use $crate::Isa;
            $crate::kernel! {
                fn of_the_cpu($($argument: $type),*) = $generic;
            }
            // SAFETY: the CPU has the instructions, and plain Rust needs none.
            unsafe {
                match isa {
                    Some(isa) => of_the_cpu(isa, $($argument),*),
                    None => $generic::<$crate::lanes::Portable<8>>($($argument),*),
                }
            }
        })*
    };
}
use kernel;

/// Defines a safe function that runs one body compiled twice: for AVX2 with FMA, and for the target as it is. In the body
/// `FMA` says which.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, reason = "not every body multiplies and adds")]
            fn body<const FMA: bool>($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn fast($($argument: $type),*) {
                    body::<true>($($argument),*);
                }
                if $crate::dense::avx2() {
                    // SAFETY: the CPU has the features, as `avx2` has just said; the body is safe code.
                    #[expect(unsafe_code, reason = "compiled for features that the build's target lacks")]
                    return unsafe { fast($($argument),*) };
                }
            }
            body::<false>($($argument),*);
        }
    };
}
use dispatch;
