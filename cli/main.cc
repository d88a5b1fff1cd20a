#include "cli/program.h"

int main(int argc, char** argv) { return ratchet::cli::RunProgram(argc, argv); }
