/* Decimals in answers as people write them. */
#ifndef WORKER_DATA_DECIMAL_H
#define WORKER_DATA_DECIMAL_H

/* Digits with commas between thousands, and decimals, no further than `end` (NULL: the text's). Returns where they end;
   NULL: none begin here. The value is one division of whole numbers, so that a decimal and a fraction of the same value
   are equal. */
const char *decimal_read(double *value, const char *at, const char *end);

#endif
