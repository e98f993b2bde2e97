package inaetics.agent;

/**
 * Names with {@code *}, {@code ?}, {@code [abc]}, {@code [a-c]} and {@code [!abc]}, for the whole of a name; case counts.
 * A bracket that nobody closes stands for itself.
 */
final class Glob {
    private Glob() {}

    static boolean fits(String glob, String name) {
        int at = 0;
        int in = 0;
        int star = -1;
        int resume = 0;
        while (in < name.length()) {
            if (at < glob.length() && glob.charAt(at) == '*') {
                star = at++;
                resume = in;
            } else if (at < glob.length() && one(glob, at, name.charAt(in))) {
                at = after(glob, at);
                in++;
            } else if (star >= 0) { // the last star takes one more
                at = star + 1;
                in = ++resume;
            } else {
                return false;
            }
        }
        while (at < glob.length() && glob.charAt(at) == '*') {
            at++;
        }
        return at == glob.length();
    }

    /** Where the bracket at {@code at} is closed; -1 when it is not. The first character inside may be a bracket itself. */
    private static int close(String glob, int at) {
        int first = at + 1 < glob.length() && glob.charAt(at + 1) == '!' ? at + 2 : at + 1;
        return glob.indexOf(']', first + 1);
    }

    private static int after(String glob, int at) {
        return glob.charAt(at) == '[' && close(glob, at) > 0 ? close(glob, at) + 1 : at + 1;
    }

    private static boolean one(String glob, int at, char found) {
        char wanted = glob.charAt(at);
        int close = wanted == '[' ? close(glob, at) : -1;
        if (close < 0) {
            return wanted == '?' || wanted == found;
        }
        boolean not = glob.charAt(at + 1) == '!';
        boolean in = false;
        for (int i = not ? at + 2 : at + 1; i < close; i++) {
            char from = glob.charAt(i);
            if (i + 2 < close && glob.charAt(i + 1) == '-') {
                in |= from <= found && found <= glob.charAt(i + 2);
                i += 2;
            } else {
                in |= from == found;
            }
        }
        return in != not;
    }
}
