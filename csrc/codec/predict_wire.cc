#include "codec/predict_wire.h"
