/* Losses of whole completions (preference tuning), made from the token losses of a batch, and how much each token's
   loss weighs in them: d loss / d token loss. On the host, in double.

   With logp the sum of a completion's log-probabilities, n its tokens, ref the same of a frozen reference model, c and
   r the chosen and the rejected one of a pair, h = beta ((logp_c - ref_c) - (logp_r - ref_r)) and s = log sigmoid:
     SIGMOID  -(1 - e) s(h) - e s(-h), e label_smoothing (DPO, Rafailov et al., 2023; Mitchell, 2023)
     ROBUST   (-(1 - e) s(h) + e s(-h)) / (1 - 2 e) (Chowdhury et al., 2024)
     IPO      (((logp_c - ref_c) / n_c - (logp_r - ref_r) / n_r) - 1 / (2 beta))^2 (Azar et al., 2024; by token as TRL)
     ORPO     -beta s(odds(logp_c / n_c) - odds(logp_r / n_r)), odds(x) = x - log(1 - exp(x)) (Hong et al., 2024)
     KTO      desirable 1 - sigmoid(beta (logp - ref - kl)), else 1 - sigmoid(beta (kl - (logp - ref))), times the
              weight of its kind (Ethayarajh et al., 2024)
   sft_weight times the mean token loss of the chosen completions is added to any of pairs; ORPO's is 1. */
#ifndef WORKER_OP_PREFERENCE_H
#define WORKER_OP_PREFERENCE_H

#include <stddef.h>
#include <stdint.h>

enum preference_loss {
  PREFERENCE_NONE, /* logps alone are asked for */
  PREFERENCE_SIGMOID,
  PREFERENCE_ROBUST,
  PREFERENCE_IPO,
  PREFERENCE_ORPO,
  PREFERENCE_KTO
};

struct preference {
  enum preference_loss loss;
  double beta;
  double label_smoothing; /* SIGMOID, ROBUST: below 0.5 */
  double sft_weight;
  double desirable_weight, undesirable_weight; /* KTO */
};

/* The completions of a batch, one a sequence. Of pairs first all chosen ones, then the rejected ones. */
struct completions {
  size_t count;
  const uint32_t *cu_rows;  /* [count + 1] next tokens before each sequence's */
  const uint8_t *prompt;    /* [next tokens] 1: of a chosen one's prompt, which its mean token loss alone has; NULL: all
                               are completions' */
  const double *reference;  /* [count] ref; NULL: NONE, ORPO */
  const uint8_t *desirable; /* [count] KTO */
  double kl;                /* KTO: at least 0 */
  double weight;            /* 1 / examples of the optimiser step */
  double token_weight;      /* 1 / its chosen completions' next tokens */
  double *logps;            /* [count] is written unless NULL */
};

/* Sums over completions. A pair is an example; its margin is the chosen one's reward minus the rejected one's. */
struct preference_scores {
  int64_t chosen, rejected;                /* how many; KTO: desirable and undesirable ones */
  double chosen_rewards, rejected_rewards; /* beta (logp - ref); ORPO: beta logp / n */
  double chosen_logps, rejected_logps;     /* ORPO: logp / n */
  int64_t pairs, right;                    /* pairs, and those whose chosen one has the larger reward */
};

/* losses [next tokens of the batch]: -log of each token's probability. They become the tokens' weights, but for NONE.
   The loss, a part of the step's. */
double preference_weigh(struct preference_scores *out, const struct preference *how, const struct completions *of,
                        float *losses);
void preference_scores_add(struct preference_scores *to, const struct preference_scores *from);

#endif
