/* A drawing as SVG 1.1: few shapes, a light ground, a font that every viewer has. Everything appends to a string. */
#ifndef CLI_SVG_H
#define CLI_SVG_H

#include "base/str.h"

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

void svg_begin(struct str *out, double width, double height);
void svg_end(struct str *out);
void svg_line(struct str *out, double x1, double y1, double x2, double y2, const char *colour, double width);
/* `fill` and `stroke` may be "none"; opacity is in [0, 1]. */
void svg_circle(struct str *out, double x, double y, double radius, const char *fill, const char *stroke,
                double opacity);
/* `text` is others': what markup means is escaped, characters that are not seen are written out. (x, y) is on its
   base line. */
void svg_text(struct str *out, double x, double y, enum svg_anchor anchor, double size, const char *colour,
              const char *text);

/* Ticks of an axis: first, first + step, ... within or just around [low, high], `step` of 1, 2 or 5 times a power of
   ten, about `wanted` of them. Where low and high are one number, there is room around it. */
struct svg_ticks {
  double first, step;
  int count;  /* at least 2 */
  int digits; /* behind the point, that tell them apart */
};
struct svg_ticks svg_ticks(double low, double high, int wanted);

#endif
