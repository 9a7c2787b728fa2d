// @ts-check
/** Keeps the screen on during a call, where the browser can: a locked phone stops the microphone. */

/** @type {WakeLockSentinel | null} */
let lock = null;
let wanted = false;

async function request() {
  if (!wanted || lock || document.hidden || !('wakeLock' in navigator)) return;
  try {
    lock = await navigator.wakeLock.request('screen');
    lock.addEventListener('release', () => (lock = null));
    if (!wanted) await lock.release();
  } catch {
    lock = null; // refused, for instance to save the battery; the call goes on
  }
}

/** @param {boolean} awake */
export function keepAwake(awake) {
  wanted = awake;
  if (awake) void request();
  else void lock?.release();
}

// The browser takes the lock back whenever the page is hidden.
document.addEventListener('visibilitychange', () => void request());
