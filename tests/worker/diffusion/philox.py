"""The noise that a picture begins with, as base/rng.c makes it (Philox 4x32-10, Box and Muller): for diffusers' `latents`."""
import numpy as np

RNG_LATENTS = 4  # base/rng.h


def philox(seed, stream, blocks):
    """[blocks][4] of uint32."""
    c = [np.arange(blocks, dtype=np.uint64), np.zeros(blocks, np.uint64), np.full(blocks, stream, np.uint64), np.zeros(blocks, np.uint64)]
    k0, k1, low = seed & 0xFFFFFFFF, seed >> 32, np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & low, (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1)


def latents(seed, channels, height, width):
    """One image's, as diffusers has them: [1][channels][height][width]."""
    count = channels * height * width
    u = (philox(seed, RNG_LATENTS, (count + 1) // 2).reshape(-1)[:2 * count] >> np.uint64(8)).astype(np.float64) * 2.0 ** -24
    normal = np.sqrt(-2 * np.log(1 - u[0::2])) * np.cos(2 * np.pi * u[1::2])
    return normal.astype(np.float32).reshape(height, width, channels).transpose(2, 0, 1)[None].copy()
