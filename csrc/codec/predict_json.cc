#include "codec/predict_json.h"
