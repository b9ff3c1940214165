// What the cases of gRPC's public interop tests send, and expect.

#pragma once

#include <array>
#include <string>

namespace interop
{

inline constexpr int LARGE_REQUEST = 271828;
inline constexpr int LARGE_RESPONSE = 314159;
inline constexpr std::array REQUEST_SIZES = { 27182, 8, 1828, 45904 };
inline constexpr std::array RESPONSE_SIZES = { 31415, 9, 2653, 58979 };

inline const std::string INITIAL_KEY = "x-grpc-test-echo-initial";
inline const std::string INITIAL_VALUE = "test_initial_metadata_value";
inline const std::string TRAILING_KEY = "x-grpc-test-echo-trailing-bin";
inline const std::string TRAILING_VALUE = "\xab\xab\xab";

inline const std::string PLAIN_MESSAGE = "test status message";
inline const std::string SPECIAL_MESSAGE =
	"\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n";

} // namespace interop
