/* Dropout masks, the same bits as the CPU's (worker/backend/cpu/isa/dropout.h): Philox 4x32 with 7 rounds, two 16-bit
   draws a word. Of the 64 elements of a group, element 16 w + 8 half + c is draw `half` of word w of counter c. */

struct draws {
  uint word[4];
};

/* The 8 draws of counter `c` of a group: of its elements c, c + 8, ... c + 56. */
DEVICE struct draws dropout_draws(struct dropout_args d, uint row, uint group, uint c) {
  uint c0 = group * 8u + c, c1 = row, c2 = (uint)d.site, c3 = (uint)(d.site >> 32);
  uint k0 = (uint)d.seed, k1 = (uint)(d.seed >> 32);
  for (int round = 0; round < 7; round++) {
    const uint high0 = high_product(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const uint high1 = high_product(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  struct draws draws;
  draws.word[0] = c0;
  draws.word[1] = c1;
  draws.word[2] = c2;
  draws.word[3] = c3;
  return draws;
}

/* What element 8 * eighth + c of the group is multiplied with. */
DEVICE float dropout_factor(struct dropout_args d, struct draws draws, int eighth) {
  const uint draw = draws.word[eighth / 2] >> (eighth % 2 * 16) & 0xFFFFu;
  return draw >= d.threshold ? d.scale : 0.0f;
}

/* The same of one element alone: 1 without dropout. */
DEVICE float dropout_at(struct dropout_args d, int row, int column) {
  if (d.threshold == 0)
    return 1.0f;
  return dropout_factor(d, dropout_draws(d, (uint)row, (uint)column / 64u, (uint)column % 8u), column % 64 / 8);
}
