// Runs a target on its corpus and on random mutations of it, where there is no libFuzzer.
// Usage: fuzz_tests TARGET CORPUS_DIRECTORY [MUTATIONS [SEED]]

#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using inputs = std::vector<std::string>;

std::string current; ///< the input under way, for whoever reports a failure

void print_current() {
    std::fputs("the input was: ", stderr);
    for (const char c : current) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '\\')
            std::fputc(c, stderr);
        else
            std::fprintf(stderr, "\\x%02x", byte);
    }
    std::fputc('\n', stderr);
}

extern "C" void report_signal(int number) {
    print_current(); // not safe in a handler, but the process is lost anyhow
    std::signal(number, SIG_DFL);
    std::raise(number);
}

inputs read_corpus(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> files;
    for (const auto& each : std::filesystem::directory_iterator(directory))
        files.push_back(each.path());
    std::sort(files.begin(), files.end()); // so that a seed gives the same run everywhere
    inputs all;
    for (const auto& each : files) {
        std::ifstream in(each, std::ios::binary);
        all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return all;
}

class mutator {
public:
    mutator(const inputs& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

    std::string next() {
        auto text = any();
        for (auto changes = 1 + below(4); changes > 0; --changes)
            change(text);
        return text;
    }

private:
    std::size_t below(std::size_t limit) {
        return limit == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }
    const std::string& any() { return corpus_[below(corpus_.size())]; }
    char byte() { return static_cast<char>(below(256)); }
    /// A few bytes of some input.
    std::string piece() {
        const auto& from = any();
        const auto at = below(from.size() + 1);
        return from.substr(at, 1 + below(16));
    }

    void change(std::string& text) {
        const auto at = below(text.size() + 1);
        switch (below(6)) {
        case 0: text.insert(at, 1, byte()); break;
        case 1: text.insert(at, piece()); break;
        case 2: text.erase(at, 1 + below(8)); break;
        case 3: text.replace(at, std::min<std::size_t>(text.size() - at, 1 + below(8)), piece()); break;
        case 4:
            if (at < text.size()) text[at] = byte();
            break;
        case 5:
            if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
            break;
        }
    }

    const inputs& corpus_;
    std::mt19937_64 random_;
};

bool holds_for(const pgstate_fuzz::target& target, std::string input) {
    current = std::move(input);
    try {
        target.run(current);
        return true;
    } catch (const pgstate_fuzz::broken_property& broken) {
        std::fprintf(stderr, "%s: does not hold: %s\n", std::string(target.name).c_str(), broken.what());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: another exception than a typed error: %s\n",
                     std::string(target.name).c_str(), e.what());
    }
    print_current();
    return false;
}

} // namespace

int main(int count, char** arguments) {
    const std::vector<std::string_view> given(arguments + 1, arguments + count);
    const auto& targets = pgstate_fuzz::target::all();
    const auto target = std::find_if(targets.begin(), targets.end(), [&](const auto& each) {
        return given.size() >= 2 && each.name == given[0];
    });
    if (target == targets.end()) {
        std::fputs("usage: fuzz_tests TARGET CORPUS_DIRECTORY [MUTATIONS [SEED]]\ntargets:", stderr);
        for (const auto& each : targets)
            std::fprintf(stderr, " %s", std::string(each.name).c_str());
        std::fputc('\n', stderr);
        return 2;
    }
    const auto corpus = read_corpus(given[1]);
    const auto mutations = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 0;
    const auto seed = count > 4 ? std::strtoull(arguments[4], nullptr, 10) : std::random_device{}();
    if (corpus.empty()) {
        std::fputs("the corpus is empty\n", stderr);
        return 2;
    }
    for (const int each : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS})
        std::signal(each, report_signal);

    for (const auto& each : corpus)
        if (!holds_for(*target, each)) return 1;
    mutator mutate(corpus, seed);
    for (unsigned long long i = 0; i < mutations; ++i)
        if (!holds_for(*target, mutate.next())) {
            std::fprintf(stderr, "mutation %llu of the seed %llu\n", i, seed);
            return 1;
        }
    std::printf("%s: %zu inputs and %llu mutations of them, seed %llu\n", std::string(target->name).c_str(),
                corpus.size(), mutations, seed);
    return 0;
}
