#include "cli/svg.h"

#include <math.h>

#include "cli/text.h"

void svg_begin(struct str *out, double width, double height) {
  str_printf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
             "font-family=\"Helvetica, Arial, sans-serif\">\n"
             "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n",
             width, height, width, height, width, height);
}

void svg_end(struct str *out) {
  str_puts(out, "</svg>\n");
}

void svg_line(struct str *out, double x1, double y1, double x2, double y2, const char *colour, double width) {
  str_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%g\"/>\n", x1, y1,
             x2, y2, colour, width);
}

void svg_circle(struct str *out, double x, double y, double radius, const char *fill, const char *stroke,
                double opacity) {
  str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\" fill=\"%s\" stroke=\"%s\" opacity=\"%g\"/>\n", x, y, radius,
             fill, stroke, opacity);
}

void svg_text(struct str *out, double x, double y, enum svg_anchor anchor, double size, const char *colour,
              const char *text) {
  static const char *const anchors[] = {[SVG_START] = "start", [SVG_MIDDLE] = "middle", [SVG_END] = "end"};
  AUTO(str_done) struct str clean;
  str_init(&clean, 4096);
  text_clean(&clean, text);
  str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%g\" fill=\"%s\">", x, y, anchors[anchor],
             size, colour);
  for (const char *p = clean.text; *p; p++)
    switch (*p) {
    case '&': str_puts(out, "&amp;"); break;
    case '<': str_puts(out, "&lt;"); break;
    case '>': str_puts(out, "&gt;"); break;
    default: str_putc(out, *p); break;
    }
  str_puts(out, "</text>\n");
}

struct svg_ticks svg_ticks(double low, double high, int wanted) {
  static const double steps[] = {1, 2, 5, 10};
  struct svg_ticks out;
  double span = high - low, least = fmax(fabs(low), fabs(high)) * 1e-6;
  if (!(span > least)) {
    double room = low != 0 ? fabs(low) * 0.01 : 0.01;
    low -= room;
    high += room;
    span = high - low;
  }
  double power = pow(10, floor(log10(span / wanted)));
  size_t i = 0;
  while (i + 1 < COUNT_OF(steps) && steps[i] * power * wanted < span)
    i++;
  out.step = steps[i] * power;
  out.first = floor(low / out.step + 1e-9) * out.step;
  out.count = (int)ceil((high - out.first) / out.step - 1e-9) + 1;
  out.count = out.count < 2 ? 2 : out.count;
  out.digits = out.step >= 1 ? 0 : (int)ceil(-log10(out.step) - 1e-9);
  return out;
}
